package main

import (
	"context"
	"errors"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

func pushCommand(a *app) *cobra.Command {
	var t transferFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "push REF [DESTINATION]",
		Short: "Send an image of the store to a registry",
		Long: "Send an image of the store to the registry that REF names, or to DESTINATION. Of an index that is not\n" +
			"here with all its images, the image for --platform (default: this machine's) is sent.",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			entry, err := findBy(ctx, s, args[0], t.network)
			if err != nil {
				return err
			}
			to, err := referTo(args[len(args)-1], t.network)
			if err != nil {
				return err
			}
			if to.Transport != reference.Registry {
				return usageErrorf(cmd, "%s is not in a registry; `oci export` writes layouts and archives", to)
			}
			done, err := a.sendOut(ctx, s, entry.Descriptor, to, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerMoves(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}

// sendOut writes what d names in the store to another place, and gives what was written.
func (a *app) sendOut(ctx context.Context, s *store.Store, d ispec.Descriptor, to reference.Ref, t transferFlags) (pulled, error) {
	var done pulled
	out, err := chooseOut(ctx, s, d, place{ref: to}, t)
	if err != nil {
		return done, err
	}
	done.named(to.String(), out.Descriptor)
	if img, err := s.Image(ctx, out.Descriptor, out.want); err == nil && !out.all {
		done.describe(img)
	}
	done.Sent, err = a.deliver(ctx, s, out, to, t, nil)
	return done, err
}

// outgoing is what goes to another place.
type outgoing struct {
	ispec.Descriptor
	want ispec.Platform
	all  bool // an index goes as it is, with all its images that are in the store
	// mountFrom is a repository of the destination's registry that has the blobs; "" if none is known.
	mountFrom string
}

// chooseOut says what of d goes to a place: the image for a platform or, if it is here whole or
// several platforms were asked for, the index.
func chooseOut(ctx context.Context, s *store.Store, d ispec.Descriptor, to place, t transferFlags) (outgoing, error) {
	out := outgoing{Descriptor: d}
	var err error
	if out.want, err = parsePlatform(t.platform); err != nil {
		return out, err
	}
	whole, err := complete(ctx, s, d)
	if err != nil {
		return out, err
	}
	several := (t.all || len(t.platforms) > 0) && image.IsIndex(d.MediaType)
	switch {
	case several && to.ref.Transport == reference.DockerArchive:
		return out, usageErrorf(nil, "%s holds one image: give one --platform", to)
	case several && !whole && to.inRegistry():
		return out, usageErrorf(nil, "a registry takes an index with all its images only: give one --platform or, if they are all there, --all-platforms")
	case several, whole && t.platform == "":
		out.all = to.ref.Transport != reference.DockerArchive
		return out, nil
	}
	img, err := s.Image(ctx, d, out.want)
	if err == nil {
		out.Descriptor = img.Descriptor()
	}
	return out, err
}

// deliver writes to another place what was chosen for it, and beside it what refers to it.
func (a *app) deliver(ctx context.Context, s *store.Store, out outgoing, to reference.Ref, t transferFlags, also []ispec.Descriptor) (sent int64, err error) {
	p := a.showProgress(t)
	defer p.close()
	var n counter
	events := n.events(p.event)
	if to.Transport != reference.Registry {
		o := transport.ExportOptions{Platform: out.want, Events: events, All: out.all, Also: also}
		err := transport.Export(ctx, s, out.Descriptor, to, o)
		return n.n.Load(), err
	}
	c, err := a.client(t)
	if err != nil {
		return 0, err
	}
	o := distribution.PushOptions{Events: events, Jobs: t.jobs, MountFrom: out.mountFrom}
	err = c.Push(ctx, to, s, out.Descriptor, o)
	for _, r := range also {
		if err == nil {
			err = c.Push(ctx, to.WithDigest(r.Digest), s, r, o)
		}
	}
	return n.n.Load(), err
}

// complete tells whether every manifest of an index is in the store; a manifest is complete.
func complete(ctx context.Context, s *store.Store, d ispec.Descriptor) (bool, error) {
	if !image.IsIndex(d.MediaType) {
		return true, nil
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return false, err
	}
	for _, m := range idx.Manifests {
		ok, err := s.Has(ctx, m)
		if ok && err == nil {
			ok, err = complete(ctx, s, m)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
