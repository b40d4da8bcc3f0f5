package registry

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Memory is a Backend that keeps everything in memory: for tests, demonstrations and `make run`.
// The zero value is an empty registry.
type Memory struct {
	mu    sync.RWMutex
	repos map[string]*memoryRepo
}

type memoryRepo struct {
	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]Manifest
	tags      map[string]ispec.Descriptor
}

var _ Backend = (*Memory)(nil)

// repo gives the repository for writing; the caller holds mu.
func (m *Memory) repo(name string) *memoryRepo {
	if m.repos == nil {
		m.repos = map[string]*memoryRepo{}
	}
	r := m.repos[name]
	if r == nil {
		r = &memoryRepo{
			blobs:     map[digest.Digest][]byte{},
			manifests: map[digest.Digest]Manifest{},
			tags:      map[string]ispec.Descriptor{},
		}
		m.repos[name] = r
	}
	return r
}

type memoryBlob struct{ *bytes.Reader }

func (memoryBlob) Close() error { return nil }

// Blob opens the blob d of repo.
func (m *Memory) Blob(_ context.Context, repo string, d digest.Digest) (Blob, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.repos[repo]; r != nil {
		if b, ok := r.blobs[d]; ok {
			return Blob{ReadCloser: memoryBlob{bytes.NewReader(b)}, Size: int64(len(b))}, nil
		}
	}
	return Blob{}, ErrNotFound
}

// PutBlob stores a blob after proving its size and digest.
func (m *Memory) PutBlob(_ context.Context, repo string, d ispec.Descriptor, r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err != nil {
		return fmt.Errorf("read blob: %w", err)
	}
	if int64(len(b)) != d.Size {
		return fmt.Errorf("%w: got %d bytes, want %d", ErrSizeMismatch, len(b), d.Size)
	}
	if got := d.Digest.Algorithm().FromBytes(b); got != d.Digest {
		return fmt.Errorf("%w: got %s, want %s", ErrDigestMismatch, got, d.Digest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.repo(repo).blobs[d.Digest] = b
	return nil
}

// MountBlob shares the blob d of from, or of any repository if from is "", with repo.
func (m *Memory) MountBlob(_ context.Context, repo, from string, d digest.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.repos {
		if b, ok := r.blobs[d]; ok && (from == "" || from == name) {
			m.repo(repo).blobs[d] = b
			return nil
		}
	}
	return ErrNotFound
}

// DeleteBlob forgets the blob d of repo.
func (m *Memory) DeleteBlob(_ context.Context, repo string, d digest.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repos[repo]
	if r == nil || r.blobs[d] == nil {
		return ErrNotFound
	}
	delete(r.blobs, d)
	return nil
}

// Manifest gives the manifest d of repo.
func (m *Memory) Manifest(_ context.Context, repo string, d digest.Digest) (Manifest, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.repos[repo]; r != nil {
		if got, ok := r.manifests[d]; ok {
			return got, nil
		}
	}
	return Manifest{}, ErrNotFound
}

// PutManifest stores man in repo.
func (m *Memory) PutManifest(_ context.Context, repo string, man Manifest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.repo(repo).manifests[man.Descriptor.Digest] = man
	return nil
}

// DeleteManifest forgets the manifest d of repo and the tags that name it.
func (m *Memory) DeleteManifest(_ context.Context, repo string, d digest.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repos[repo]
	if r == nil {
		return ErrNotFound
	}
	if _, ok := r.manifests[d]; !ok {
		return ErrNotFound
	}
	delete(r.manifests, d)
	for t, to := range r.tags {
		if to.Digest == d {
			delete(r.tags, t)
		}
	}
	return nil
}

// Referrers gives the manifests of repo whose subject is d.
func (m *Memory) Referrers(_ context.Context, repo string, d, after digest.Digest, yield func(ispec.Descriptor) bool) error {
	m.mu.RLock()
	var list []ispec.Descriptor
	if r := m.repos[repo]; r != nil {
		for _, man := range r.manifests {
			if subject, desc := Referrer(man); subject == d && desc.Digest > after {
				list = append(list, desc)
			}
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(list, func(a, b ispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	for _, desc := range list {
		if !yield(desc) {
			return nil
		}
	}
	return nil
}

// Resolve gives what tag names in repo.
func (m *Memory) Resolve(_ context.Context, repo, tag string) (ispec.Descriptor, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.repos[repo]; r != nil {
		if d, ok := r.tags[tag]; ok {
			return d, nil
		}
	}
	return ispec.Descriptor{}, ErrNotFound
}

// Tag makes tag name d in repo.
func (m *Memory) Tag(_ context.Context, repo, tag string, d ispec.Descriptor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.repo(repo).tags[tag] = d
	return nil
}

// Untag forgets tag in repo.
func (m *Memory) Untag(_ context.Context, repo, tag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repos[repo]
	if r == nil {
		return ErrNotFound
	}
	if _, ok := r.tags[tag]; !ok {
		return ErrNotFound
	}
	delete(r.tags, tag)
	return nil
}

// Tags lists the tags of repo.
func (m *Memory) Tags(_ context.Context, repo string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := m.repos[repo]
	if r == nil {
		return nil, ErrNotFound
	}
	list := make([]string, 0, len(r.tags))
	for t := range r.tags {
		list = append(list, t)
	}
	return list, nil
}

// Repositories lists the repositories.
func (m *Memory) Repositories(context.Context) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]string, 0, len(m.repos))
	for name := range m.repos {
		list = append(list, name)
	}
	return list, nil
}
