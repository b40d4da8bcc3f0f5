package main

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image/store"
)

// dirsContent is several layouts as one, for reading. Its names are places, "repo:tag": those of the
// first directory that has them.
type dirsContent []storeContent

func newDirsBackend(stores []*store.Store) registry.Backend {
	var c dirsContent
	for _, s := range stores {
		c = append(c, contentOf(s))
	}
	return registry.NewPool(c, nil)
}

// Open opens a blob of any of them.
func (c dirsContent) Open(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	for _, one := range c {
		b, err := one.Open(ctx, d)
		if err == nil || !errors.Is(err, registry.ErrNotFound) {
			return b, err
		}
	}
	return registry.Blob{}, registry.ErrNotFound
}

// Names gives the places of all.
func (c dirsContent) Names(ctx context.Context) (map[string]ispec.Descriptor, error) {
	all := map[string]ispec.Descriptor{}
	for _, one := range c {
		names, err := one.Names(ctx)
		if err != nil {
			return nil, err
		}
		for name, d := range names {
			repo, ref, ok := one.naming.Split(name)
			if !ok {
				continue
			}
			place := one.naming.Join(repo, ref)
			if _, taken := all[place]; !taken {
				all[place] = d
			}
		}
	}
	return all, nil
}

// Put refuses.
func (dirsContent) Put(context.Context, ispec.Descriptor, io.Reader) error {
	return registry.ErrUnsupported
}

// Delete refuses.
func (dirsContent) Delete(context.Context, digest.Digest) error { return registry.ErrUnsupported }

// Name refuses.
func (dirsContent) Name(context.Context, string, ispec.Descriptor) error {
	return registry.ErrUnsupported
}

// Unname refuses.
func (dirsContent) Unname(context.Context, string) error { return registry.ErrUnsupported }
