package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// storePrefix names an image of the store where a bare name would mean the registry.
const storePrefix = "store:"

// placeHelp is how the verbs that read any place describe what they take.
const placeHelp = "REF is a name in a registry, store:NAME for an image of the store, or oci:DIR[:TAG],\n" +
	"oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR, or oci+https://HOST/DIR[:TAG] for a layout\n" +
	"that a plain file server has."

// A place is where an image is or goes: what a reference names or, with a stored name, an entry of
// the store.
type place struct {
	ref    reference.Ref
	stored string
}

// source is the place that arg names for a verb that reads.
func (a *app) source(ctx context.Context, arg string, t transferFlags) (place, error) {
	return parsePlace(arg, func(arg string) (reference.Ref, error) { return a.refer(ctx, arg, t) })
}

// destination is the place that arg names for a verb that writes.
func destination(arg string, t transferFlags) (place, error) {
	return parsePlace(arg, func(arg string) (reference.Ref, error) { return referTo(arg, t.network) })
}

func parsePlace(arg string, refer func(string) (reference.Ref, error)) (place, error) {
	if name, ok := strings.CutPrefix(arg, storePrefix); ok {
		if name == "" {
			return place{}, fmt.Errorf("%w: %q names nothing of the store", reference.ErrSyntax, arg)
		}
		return place{stored: name}, nil
	}
	ref, err := refer(arg)
	return place{ref: ref}, err
}

// String is the place as it is written on a command line.
func (p place) String() string {
	if p.stored != "" {
		return storePrefix + p.stored
	}
	return p.ref.String()
}

func (p place) inRegistry() bool { return p.stored == "" && p.ref.Transport == reference.Registry }

// openPlace opens a place for reading.
func (a *app) openPlace(ctx context.Context, p place, t transferFlags) (transport.Source, error) {
	switch {
	case p.stored != "":
		s, err := a.viewStore(ctx)
		if err == nil && s == nil {
			err = fmt.Errorf("%s: %w", p, store.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		return storeSource{s, p.stored}, nil
	case p.inRegistry():
		c, err := a.client(t)
		if err != nil {
			return nil, err
		}
		return registrySource{c, p.ref}, nil
	case p.ref.Static():
		c, err := a.client(t)
		if err != nil {
			return nil, err
		}
		return openStatic(ctx, c, p.ref)
	}
	return transport.Open(ctx, p.ref)
}

// storeSource is the store as a transport.Source.
type storeSource struct {
	*store.Store
	name string
}

// Resolve implements transport.Source.
func (s storeSource) Resolve(ctx context.Context) (ispec.Descriptor, error) {
	t, err := find(ctx, s.Store, s.name)
	return t.Descriptor, err
}

// List implements transport.Source.
func (s storeSource) List(ctx context.Context) ([]transport.Named, error) {
	tags, err := s.Tags(ctx)
	list := make([]transport.Named, 0, len(tags))
	for _, t := range tags {
		list = append(list, transport.Named{Name: t.Name, Descriptor: t.Descriptor})
	}
	return list, err
}

// registrySource is a repository as a transport.Source.
type registrySource struct {
	c   *distribution.Client
	ref reference.Ref
}

// Resolve implements transport.Source.
func (r registrySource) Resolve(ctx context.Context) (ispec.Descriptor, error) {
	return r.c.Resolve(ctx, r.ref)
}

// Open implements transport.Source. A manifest that the registry lacks is absent, as in a layout.
func (r registrySource) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if image.IsManifest(d.MediaType) || image.IsIndex(d.MediaType) {
		raw, _, err := r.c.Manifest(ctx, r.ref, d)
		if errors.Is(err, distribution.ErrNotFound) {
			err = fmt.Errorf("%w: %w", transport.ErrNotFound, err)
		}
		return io.NopCloser(bytes.NewReader(raw)), err
	}
	return transport.Lazy(func(at int64) (io.ReadCloser, error) { return r.c.Blob(ctx, r.ref, d, at) }), nil
}

// List implements transport.Source: the one manifest that the reference names.
func (r registrySource) List(ctx context.Context) ([]transport.Named, error) {
	d, err := r.Resolve(ctx)
	return []transport.Named{{Name: r.ref.Tag, Descriptor: d}}, err
}

// Close implements transport.Source.
func (r registrySource) Close() error { return nil } // the client is the process's

// readProved gives the content of d, at most limit bytes, proved.
func readProved(ctx context.Context, src transport.Source, d ispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, image.TooLarge("read", d, limit)
	}
	r, err := src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return image.ReadAll(r, d, limit)
}

// readManifest gives what d names, or below an index the manifest for the platform; nil is any, the
// document itself.
func readManifest(ctx context.Context, src transport.Source, d ispec.Descriptor, want *ispec.Platform) (ispec.Descriptor, []byte, error) {
	for depth := 0; ; depth++ {
		if depth > image.MaxIndexDepth {
			return d, nil, fmt.Errorf("%s: %w: more than %d indexes within each other", d.Digest, image.ErrMalformed, image.MaxIndexDepth)
		}
		raw, err := readProved(ctx, src, d, image.MaxManifestSize)
		if err != nil || want == nil || !image.IsIndex(d.MediaType) {
			return d, raw, err
		}
		idx, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			return d, nil, err
		}
		if d, err = image.Select(idx, *want); err != nil {
			return d, nil, err
		}
	}
}

// readConfig gives the manifest for the platform and the bytes of its config.
func readConfig(ctx context.Context, src transport.Source, platform string) (ispec.Descriptor, []byte, []byte, error) {
	want, err := wantedPlatform(platform)
	if err != nil {
		return ispec.Descriptor{}, nil, nil, err
	}
	root, err := src.Resolve(ctx)
	if err != nil {
		return root, nil, nil, err
	}
	d, raw, err := readManifest(ctx, src, root, &want)
	if err != nil {
		return d, nil, nil, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return d, nil, nil, err
	}
	config, err := readProved(ctx, src, m.Config, image.MaxConfigSize)
	return d, raw, config, err
}

// wantedPlatform reads --platform; "" is this machine's.
func wantedPlatform(s string) (ispec.Platform, error) {
	if s == "" {
		return image.HostPlatform(), nil
	}
	return image.ParsePlatform(s)
}
