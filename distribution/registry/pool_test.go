package registry

import (
	"bytes"
	"context"
	"io"
	"maps"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// mapContent is a Content of maps.
type mapContent struct {
	mu    sync.Mutex
	blobs Memory
	names map[string]ispec.Descriptor
}

func newContent() *mapContent { return &mapContent{names: map[string]ispec.Descriptor{}} }

func (c *mapContent) Open(ctx context.Context, d digest.Digest) (Blob, error) {
	return c.blobs.Blob(ctx, "all", d)
}

func (c *mapContent) Put(ctx context.Context, d ispec.Descriptor, r io.Reader) error {
	return c.blobs.PutBlob(ctx, "all", d, r)
}

func (c *mapContent) Delete(ctx context.Context, d digest.Digest) error {
	return c.blobs.DeleteBlob(ctx, "all", d)
}

func (c *mapContent) Names(context.Context) (map[string]ispec.Descriptor, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.names), nil
}

func (c *mapContent) Name(_ context.Context, name string, d ispec.Descriptor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name] = d
	return nil
}

func (c *mapContent) Unname(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.names[name]; !ok {
		return ErrNotFound
	}
	delete(c.names, name)
	return nil
}

func TestPlainNames(t *testing.T) {
	for _, tt := range []struct {
		name, repo, ref string
		ok              bool
	}{
		{"a/b:v", "a/b", "v", true},
		{"a@sha256:abc", "a", "sha256:abc", true},
		{"a", "", "", false},
		{"localhost:5000/a:v", "localhost:5000/a", "v", false},
		{"A:v", "A", "v", false},
	} {
		repo, ref, ok := PlainNames{}.Split(tt.name)
		if repo != tt.repo || ref != tt.ref || ok != tt.ok {
			t.Errorf("%s: got %q %q %v", tt.name, repo, ref, ok)
		}
		if ok && (PlainNames{}).Join(repo, ref) != tt.name {
			t.Errorf("%s: joined %q", tt.name, PlainNames{}.Join(repo, ref))
		}
	}
}

func TestPoolServesNoBlobAsManifest(t *testing.T) {
	p := NewPool(newContent(), nil)
	for _, raw := range []string{`{"architecture":"amd64"}`, "text", `{"manifests":[],"layers":[]}`} {
		d := ispec.Descriptor{Digest: digest.FromString(raw), Size: int64(len(raw))}
		if err := p.PutBlob(t.Context(), "a", d, bytes.NewBufferString(raw)); err != nil {
			t.Fatal(err)
		}
		if m, err := p.Manifest(t.Context(), "a", d.Digest); err == nil {
			t.Errorf("%s is served as %s", raw, m.Descriptor.MediaType)
		}
	}
}
