package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// deleteTimeout is how long a delete waits for transfers of the store. The content is left for a
// later prune then.
const deleteTimeout = 3 * time.Second

// storeContent gives a store, or any OCI image layout, the shape that a registry serves.
type storeContent struct {
	s      *store.Store
	naming storeNaming
	cache  *nameCache
	lease  *lease // nil if the store is not written
}

// storeNaming serves docker.io/library/debian:12 as library/debian:12: a repository is what a name
// of the store has between the registry's host and the tag. A name that is a tag alone, as layouts
// of other tools have, is in the repository named like the directory.
type storeNaming struct{ base string }

func newStoreBackend(s *store.Store, l *lease) registry.Backend {
	c := contentOf(s)
	c.lease = l
	return registry.NewPool(c, c.naming)
}

func contentOf(s *store.Store) storeContent {
	return storeContent{s: s, naming: namingOf(s), cache: &nameCache{}}
}

func namingOf(s *store.Store) storeNaming {
	return storeNaming{strings.ToLower(filepath.Base(s.Root()))}
}

// Join gives the name of what is pushed.
func (n storeNaming) Join(repo, ref string) string { return registry.PlainNames{}.Join(repo, ref) }

// Split takes the host off a name.
func (n storeNaming) Split(name string) (repo, ref string, ok bool) {
	if !strings.ContainsAny(name, "/:@") {
		return n.base, name, name != ""
	}
	host, rest, found := strings.Cut(name, "/")
	if found && !strings.HasSuffix(host, ":") && (strings.ContainsAny(host, ".:") || host == "localhost") {
		name = rest
	}
	return registry.PlainNames{}.Split(name)
}

// descriptor completes a digest with the size of its blob.
func (c storeContent) descriptor(d digest.Digest) (ispec.Descriptor, error) {
	if err := image.ValidateDigest(d); err != nil {
		return ispec.Descriptor{}, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	info, err := os.Lstat(filepath.Join(c.s.Root(), ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
	if err != nil {
		return ispec.Descriptor{}, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return ispec.Descriptor{Digest: d, Size: info.Size()}, nil
}

// Open opens a blob.
func (c storeContent) Open(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	desc, err := c.descriptor(d)
	if err != nil {
		return registry.Blob{}, err
	}
	r, err := c.s.Open(ctx, desc)
	return registry.Blob{ReadCloser: r, Size: desc.Size}, serveError(err)
}

// Put ingests a blob, which r gives from its start. All of it or a part may be there already: then r is
// proved by itself, for what the client sent must be what it said. Bytes of an ingest that was broken
// off may turn out to be wrong; they are gone then, and r is read again.
func (c storeContent) Put(ctx context.Context, d ispec.Descriptor, r io.Reader) error {
	body, ok := r.(io.ReadSeeker)
	if !ok {
		return fmt.Errorf("put %s: the content cannot be read twice", d.Digest)
	}
	resumed, err := c.ingest(ctx, d, body)
	if resumed && errors.Is(err, image.ErrDigestMismatch) {
		if _, err = body.Seek(0, io.SeekStart); err == nil {
			_, err = c.ingest(ctx, d, body)
		}
	}
	return serveError(err)
}

func (c storeContent) ingest(ctx context.Context, d ispec.Descriptor, r io.ReadSeeker) (resumed bool, err error) {
	in, err := c.s.Ingest(ctx, d)
	if err != nil {
		return false, err
	}
	defer in.Close()
	if n := in.Offset(); n > 0 {
		v, err := image.NewVerifier(r, d)
		if err != nil {
			return false, err
		}
		if _, err := io.Copy(io.Discard, v); err != nil {
			return false, err
		}
		if _, err := r.Seek(n, io.SeekStart); err != nil {
			return false, err
		}
	}
	if _, err := io.Copy(in, r); err != nil {
		return in.Resumed(), err
	}
	return in.Resumed(), in.Commit(ctx)
}

// Delete deletes a blob, which no name leads to.
func (c storeContent) Delete(ctx context.Context, d digest.Digest) error {
	if _, err := c.descriptor(d); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout) // an upload may hold the store for an hour
	defer cancel()
	return serveError(c.lease.without(ctx, func() error { return c.s.Delete(ctx, d) }))
}

// Names gives the entries of the store. What is listed without a name, or twice under one, or under a
// name whose place in the registry is another's, is kept apart by its digest: it is not served, but what
// it needs is not deleted.
func (c storeContent) Names(ctx context.Context) (map[string]ispec.Descriptor, error) {
	return c.cache.get(ctx, c.s, func(tags []store.Tagged) map[string]ispec.Descriptor {
		names, _ := c.naming.served(tags)
		return names
	})
}

// hiddenName is a name that is not served, since another one has its place.
type hiddenName struct{ name, place, winner string }

// served gives the entries by their names, and those that other ones hide. Of several names for one
// place with different content, the one that pushes write is served, else the first.
func (n storeNaming) served(tags []store.Tagged) (names map[string]ispec.Descriptor, hidden []hiddenName) {
	names = make(map[string]ispec.Descriptor, len(tags))
	winners := map[string]store.Tagged{}
	for _, t := range tags {
		repo, ref, ok := n.Split(t.Name)
		if !ok {
			continue
		}
		place := n.Join(repo, ref)
		if _, taken := winners[place]; !taken || t.Name == place && winners[place].Name != place {
			winners[place] = t
		}
	}
	for _, t := range tags {
		name := t.Name
		if repo, ref, ok := n.Split(name); ok {
			place := n.Join(repo, ref)
			if w := winners[place]; w.Name != name && w.Descriptor.Digest != t.Descriptor.Digest {
				hidden = append(hidden, hiddenName{name, place, w.Name})
				name = ""
			}
		}
		if _, twice := names[name]; name == "" || twice {
			name = "@" + t.Descriptor.Digest.String() // in no repository
		}
		names[name] = t.Descriptor
	}
	return names, hidden
}

// Name tags.
func (c storeContent) Name(ctx context.Context, name string, d ispec.Descriptor) error {
	return serveError(c.s.Tag(ctx, name, d))
}

// Unname untags.
func (c storeContent) Unname(ctx context.Context, name string) error {
	return serveError(c.s.Untag(ctx, name))
}

// serveError gives the kinds of the store the names that the registry knows.
func serveError(err error) error {
	for _, k := range [...][2]error{
		{image.ErrDigestMismatch, registry.ErrDigestMismatch},
		{image.ErrSizeMismatch, registry.ErrSizeMismatch},
		{store.ErrNotFound, registry.ErrNotFound},
		{store.ErrReadOnly, registry.ErrUnsupported},
		{store.ErrInUse, registry.ErrInUse},
		{store.ErrBusy, registry.ErrInUse},
		{store.ErrName, registry.ErrInvalid},
		{image.ErrMediaType, registry.ErrInvalid},
	} {
		if errors.Is(err, k[0]) {
			return fmt.Errorf("%w: %w", k[1], err)
		}
	}
	return err
}
