package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// verifyImage proves the blobs of an image, and the layers that were unpacked of it. Finding the image has proved manifest
// and config.
func (a *app) verifyImage(ctx context.Context, s *store.Store, arg string, level verify.Level, f *verifyFlags) (verified, error) {
	done, err := a.ensurePulled(ctx, s, arg, f.policy, f.t)
	if err != nil {
		return verified{}, err
	}
	layers := done.image.Layers()
	r := newVerified(done.Name, done.image)
	r.Bytes = imageSize(done.image)
	r.Layers = make([]verifiedLayer, len(layers))
	budget := unpack.NewBudget(a.limits)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2) // each is more than one goroutine
	for i, layer := range layers {
		out := &r.Layers[i]
		*out = verifiedLayer{Digest: layer.Descriptor.Digest.String(), DiffID: layer.DiffID.String(), State: string(verify.Proved)}
		g.Go(func() error {
			o := unpack.Options{Limits: a.limits, Budget: budget, Logger: a.log, Index: i + 1}
			err := proveBlob(gctx, s, layer, level, o)
			if err == nil {
				out.Unpacked, err = a.proveUnpacked(gctx, s, layer, level)
			}
			return out.failed(gctx, err)
		})
	}
	if err := g.Wait(); err != nil {
		return verified{}, err
	}
	r.Verified = true
	for _, l := range r.Layers {
		if l.Why != "" {
			r.Verified = false
			r.Problems = append(r.Problems, "layer "+l.DiffID+": "+l.Why)
		}
	}
	return r, nil
}

// failed notes an error of a layer; one that has nothing to do with it is returned.
func (l *verifiedLayer) failed(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	switch exitStatus(err) {
	case statusUnverified, statusMalformed, statusNotFound:
		l.State, l.Why = string(verify.Differs), err.Error()
		return nil
	}
	return err
}

// proveBlob proves a blob by its digest, size and DiffID; at the level marker only that it is there.
func proveBlob(ctx context.Context, s *store.Store, layer image.Layer, level verify.Level, o unpack.Options) error {
	if level == verify.Marker {
		ok, err := s.Has(ctx, layer.Descriptor)
		if err == nil && !ok {
			err = fmt.Errorf("%s: %w", layer.Descriptor.Digest, store.ErrNotFound)
		}
		return err
	}
	_, err := unpack.ReadLayer(ctx, layer, s, o, func(*unpack.Entry, io.Reader) error { return nil })
	return err
}

// ignored tells that a layer in the store cannot be compared here, which is told and no more.
func (a *app) ignored(err error, kinds ...error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			fmt.Fprintf(a.err, "warning: %s\n", message(err.Error()))
			return nil
		}
	}
	return err
}
