package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// storeBackend serves a store, or any OCI image layout. A repository is what a name of the store
// has between the registry's host and the tag: docker.io/library/debian:12 is served as
// library/debian:12. An entry whose name is a tag alone is in the repository named like the
// directory. Content is one pool for all repositories.
type storeBackend struct {
	s    *store.Store
	base string // the repository of entries without one
}

var _ registry.Backend = (*storeBackend)(nil)

func newStoreBackend(s *store.Store) *storeBackend {
	return &storeBackend{s: s, base: strings.ToLower(filepath.Base(s.Root()))}
}

// split gives repository and tag of a name of the store; ok is false for one that a registry
// cannot serve, such as that of a file.
func (b *storeBackend) split(name string) (repo, tag string, ok bool) {
	if name == "" || strings.Contains(name, "@") {
		return "", "", false
	}
	i := strings.LastIndexByte(name, ':')
	if slash := strings.LastIndexByte(name, '/'); i < 0 && slash < 0 {
		return b.base, name, true
	} else if i < slash {
		return "", "", false
	}
	repo, tag = name[:i], name[i+1:]
	host, rest, found := strings.Cut(repo, "/")
	if found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		repo = rest
	}
	return repo, tag, repo != "" && tag != "" && !strings.Contains(repo, ":")
}

// entry is an entry of the store as a registry has it.
type entry struct {
	repo, tag string
	tagged    store.Tagged
}

func (b *storeBackend) entries(ctx context.Context) ([]entry, error) {
	tags, err := b.s.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, t := range tags {
		if repo, tag, ok := b.split(t.Name); ok {
			all = append(all, entry{repo, tag, t})
		}
	}
	return all, nil
}

// descriptor completes a digest with the size of its blob.
func (b *storeBackend) descriptor(d digest.Digest) (ispec.Descriptor, error) {
	if err := image.ValidateDigest(d); err != nil {
		return ispec.Descriptor{}, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	info, err := os.Lstat(filepath.Join(b.s.Root(), ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
	if err != nil {
		return ispec.Descriptor{}, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return ispec.Descriptor{Digest: d, Size: info.Size()}, nil
}

// Blob opens a blob of the pool.
func (b *storeBackend) Blob(ctx context.Context, _ string, d digest.Digest) (registry.Blob, error) {
	desc, err := b.descriptor(d)
	if err != nil {
		return registry.Blob{}, err
	}
	r, err := b.s.Open(ctx, desc)
	return registry.Blob{ReadCloser: r, Size: desc.Size}, err
}

// PutBlob ingests a blob.
func (b *storeBackend) PutBlob(ctx context.Context, _ string, d ispec.Descriptor, r io.Reader) error {
	in, err := b.s.Ingest(ctx, d)
	if err != nil {
		return serveError(err)
	}
	defer in.Close()
	if have := in.Offset(); have > 0 { // of an earlier upload, or the whole
		if _, err := io.CopyN(io.Discard, r, have); err != nil {
			return err
		}
	}
	if _, err := io.Copy(in, r); err != nil {
		return serveError(err)
	}
	return serveError(in.Commit(ctx))
}

// serveError gives the kinds of the store the names that the registry knows.
func serveError(err error) error {
	for _, k := range [][2]error{
		{image.ErrDigestMismatch, registry.ErrDigestMismatch},
		{image.ErrSizeMismatch, registry.ErrSizeMismatch},
		{store.ErrNotFound, registry.ErrNotFound},
		{store.ErrReadOnly, registry.ErrUnsupported},
		{store.ErrName, registry.ErrInvalid},
	} {
		if errors.Is(err, k[0]) {
			return fmt.Errorf("%w: %w", k[1], err)
		}
	}
	return err
}

// MountBlob finds that the pool has the blob, or has not.
func (b *storeBackend) MountBlob(_ context.Context, _, _ string, d digest.Digest) error {
	_, err := b.descriptor(d)
	return err
}

// DeleteBlob is refused: other images may use the blob. `oci prune` deletes what none uses.
func (b *storeBackend) DeleteBlob(context.Context, string, digest.Digest) error {
	return fmt.Errorf("delete blob: %w: `oci prune` deletes what no image uses", registry.ErrUnsupported)
}

// Manifest reads a blob that is a manifest.
func (b *storeBackend) Manifest(ctx context.Context, _ string, d digest.Digest) (registry.Manifest, error) {
	desc, err := b.descriptor(d)
	if err != nil {
		return registry.Manifest{}, err
	}
	raw, err := b.s.ReadBlob(ctx, desc, image.MaxManifestSize)
	if errors.Is(err, image.ErrTooLarge) {
		return registry.Manifest{}, fmt.Errorf("%w: no manifest is that large", registry.ErrNotFound)
	} else if err != nil {
		return registry.Manifest{}, serveError(err)
	}
	desc.MediaType, err = registry.MediaType(raw)
	if err != nil {
		return registry.Manifest{}, fmt.Errorf("%w: not a manifest: %w", registry.ErrNotFound, err)
	}
	return registry.Manifest{Descriptor: desc, Raw: raw}, nil
}

// PutManifest ingests a manifest. One that refers to another gets a name by digest, as nothing
// else would keep it.
func (b *storeBackend) PutManifest(ctx context.Context, repo string, m registry.Manifest) error {
	if err := b.PutBlob(ctx, repo, m.Descriptor, bytes.NewReader(m.Raw)); err != nil {
		return err
	}
	if subject, _ := registry.Referrer(m); subject == "" {
		return nil
	}
	return serveError(b.s.Tag(ctx, repo+"@"+m.Descriptor.Digest.String(), m.Descriptor))
}

// DeleteManifest takes away every name in repo that means d.
func (b *storeBackend) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	tags, err := b.s.Tags(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, t := range tags {
		r, _, ok := b.split(t.Name)
		if t.Descriptor.Digest != d || (!ok || r != repo) && t.Name != repo+"@"+d.String() {
			continue
		}
		found = true
		if err := b.s.Untag(ctx, t.Name); err != nil {
			return serveError(err)
		}
	}
	if !found {
		return registry.ErrNotFound
	}
	return nil
}

// Referrers looks through the entries of the store.
func (b *storeBackend) Referrers(ctx context.Context, repo string, d digest.Digest) ([]ispec.Descriptor, error) {
	tags, err := b.s.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var found []ispec.Descriptor
	for _, t := range tags {
		m, err := b.Manifest(ctx, repo, t.Descriptor.Digest)
		if err != nil {
			continue // an entry without its content has no subject
		}
		subject, desc := registry.Referrer(m)
		known := slices.ContainsFunc(found, func(f ispec.Descriptor) bool { return f.Digest == desc.Digest })
		if subject == d && !known {
			found = append(found, desc)
		}
	}
	return found, nil
}

// Resolve gives what a tag means.
func (b *storeBackend) Resolve(ctx context.Context, repo, tag string) (ispec.Descriptor, error) {
	all, err := b.entries(ctx)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	for _, e := range all {
		if e.repo == repo && e.tag == tag {
			return e.tagged.Descriptor, nil
		}
	}
	return ispec.Descriptor{}, registry.ErrNotFound
}

// Tag names a manifest repo:tag, or changes the entry that is served under that name.
func (b *storeBackend) Tag(ctx context.Context, repo, tag string, d ispec.Descriptor) error {
	name := repo + ":" + tag
	all, err := b.entries(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.repo == repo && e.tag == tag {
			name = e.tagged.Name
			break
		}
	}
	return serveError(b.s.Tag(ctx, name, d))
}

// Untag takes the name away under which repo:tag is served.
func (b *storeBackend) Untag(ctx context.Context, repo, tag string) error {
	all, err := b.entries(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.repo == repo && e.tag == tag {
			return serveError(b.s.Untag(ctx, e.tagged.Name))
		}
	}
	return registry.ErrNotFound
}

// Tags lists the tags of a repository.
func (b *storeBackend) Tags(ctx context.Context, repo string) ([]string, error) {
	all, err := b.entries(ctx)
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, e := range all {
		if e.repo == repo && !slices.Contains(tags, e.tag) {
			tags = append(tags, e.tag)
		}
	}
	if tags == nil {
		return nil, registry.ErrNotFound
	}
	return tags, nil
}

// Repositories lists the repositories.
func (b *storeBackend) Repositories(ctx context.Context) ([]string, error) {
	all, err := b.entries(ctx)
	if err != nil {
		return nil, err
	}
	var repos []string
	for _, e := range all {
		if !slices.Contains(repos, e.repo) {
			repos = append(repos, e.repo)
		}
	}
	return repos, nil
}
