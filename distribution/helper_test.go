package distribution

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// memory is a Sink and a Source: a content store that keeps the contract of Ingest.
type memory struct {
	mu       sync.Mutex
	blobs    map[digest.Digest][]byte
	partial  map[digest.Digest][]byte
	notes    map[digest.Digest]string // beside partial
	open     int                      // ingests that have not ended
	aborted  int
	commits  []digest.Digest
	writeErr error
}

func newMemory() *memory {
	return &memory{blobs: map[digest.Digest][]byte{}, partial: map[digest.Digest][]byte{}, notes: map[digest.Digest]string{}}
}

func (m *memory) add(b []byte) digest.Digest {
	d := digest.FromBytes(b)
	m.blobs[d] = b
	return d
}

func (m *memory) Has(_ context.Context, d ispec.Descriptor) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.blobs[d.Digest]
	return ok, nil
}

func (m *memory) ReadBlob(_ context.Context, d ispec.Descriptor, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return image.ReadAll(bytes.NewReader(m.blobs[d.Digest]), d, limit)
}

func (m *memory) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("open %s: not in the test store", d.Digest)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) Ingest(_ context.Context, d ispec.Descriptor) (Ingest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open++
	return &memoryIngest{m: m, d: d, buf: append([]byte(nil), m.partial[d.Digest]...), note: m.notes[d.Digest]}, nil
}

type memoryIngest struct {
	m     *memory
	d     ispec.Descriptor
	buf   []byte
	note  string
	ended bool
}

func (i *memoryIngest) Note() string        { return i.note }
func (i *memoryIngest) SetNote(line string) { i.note = line }

func (i *memoryIngest) Offset() int64 { return int64(len(i.buf)) }

func (i *memoryIngest) Write(p []byte) (int, error) {
	if i.m.writeErr != nil {
		return 0, i.m.writeErr
	}
	i.buf = append(i.buf, p...)
	return len(p), nil
}

func (i *memoryIngest) end() bool {
	if i.ended {
		return false
	}
	i.ended = true
	i.m.open--
	return true
}

func (i *memoryIngest) Commit(context.Context) error {
	i.m.mu.Lock()
	defer i.m.mu.Unlock()
	if !i.end() {
		return errors.New("commit of an ingest that has ended")
	}
	i.forget()
	if err := image.VerifyBytes(i.buf, i.d.Digest, i.d.Size); err != nil {
		return err
	}
	i.m.blobs[i.d.Digest] = i.buf
	i.m.commits = append(i.m.commits, i.d.Digest)
	return nil
}

func (i *memoryIngest) Close() error {
	i.m.mu.Lock()
	defer i.m.mu.Unlock()
	if i.end() {
		i.m.partial[i.d.Digest], i.m.notes[i.d.Digest] = i.buf, i.note
	}
	return nil
}

func (i *memoryIngest) Abort() error {
	i.m.mu.Lock()
	defer i.m.mu.Unlock()
	i.end()
	i.m.aborted++
	i.forget()
	return nil
}

func (i *memoryIngest) forget() {
	delete(i.m.partial, i.d.Digest)
	delete(i.m.notes, i.d.Digest)
}

// fixture is an image with three layers, below an index for two platforms.
type fixture struct {
	store                   *memory
	index, manifest, config ispec.Descriptor
	layers                  []ispec.Descriptor
	other                   ispec.Descriptor // the manifest for the other platform
}

func testPlatform() ispec.Platform { return ispec.Platform{OS: "linux", Architecture: "amd64"} }

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newFixture(t testing.TB, sizes ...int) *fixture {
	t.Helper()
	f := &fixture{store: newMemory()}
	put := func(mt string, raw []byte) ispec.Descriptor {
		return ispec.Descriptor{MediaType: mt, Digest: f.store.add(raw), Size: int64(len(raw))}
	}
	if len(sizes) == 0 {
		sizes = []int{1000, 300_000, 20_000}
	}
	build := func(p ispec.Platform, seed byte) (m, config ispec.Descriptor, layers []ispec.Descriptor) {
		var diffIDs []digest.Digest
		for i, n := range sizes {
			raw := make([]byte, n)
			src := rand.NewChaCha8([32]byte{seed, byte(i)})
			_, _ = src.Read(raw)
			layers = append(layers, put(ispec.MediaTypeImageLayerGzip, raw))
			diffIDs = append(diffIDs, digest.FromString(fmt.Sprint(seed, i)))
		}
		config = put(ispec.MediaTypeImageConfig, mustJSON(t, ispec.Image{
			Platform: p, RootFS: ispec.RootFS{Type: "layers", DiffIDs: diffIDs},
		}))
		man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: config, Layers: layers}
		man.SchemaVersion = 2
		m = put(ispec.MediaTypeImageManifest, mustJSON(t, man))
		m.Platform = &p
		return m, config, layers
	}
	f.other, _, _ = build(ispec.Platform{OS: "linux", Architecture: "s390x"}, 2)
	f.manifest, f.config, f.layers = build(testPlatform(), 1)
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{f.other, f.manifest}}
	idx.SchemaVersion = 2
	f.index = put(ispec.MediaTypeImageIndex, mustJSON(t, idx))
	return f
}

// fill puts the whole fixture into a registry as repo:latest.
func (f *fixture) fill(t testing.TB, b registry.Backend, repo string) {
	t.Helper()
	ctx := context.Background()
	for d, raw := range f.store.blobs {
		desc := ispec.Descriptor{Digest: d, Size: int64(len(raw))}
		if mt, err := image.DetectMediaType(raw); err == nil {
			desc.MediaType = mt
			if err := b.PutManifest(ctx, repo, registry.Manifest{Descriptor: desc, Raw: raw}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := b.PutBlob(ctx, repo, desc, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Tag(ctx, repo, "latest", f.index); err != nil {
		t.Fatal(err)
	}
}

func mustRef(t testing.TB, s string) reference.Ref {
	t.Helper()
	r, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quick makes failures come without long waits.
func quick() Retry {
	return Retry{Attempts: 4, Base: time.Millisecond, Max: 4 * time.Millisecond, Budget: 5 * time.Second}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Retry == (Retry{}) {
		o.Retry = quick()
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// setup starts a registry with the fixture in it.
func setup(t testing.TB, o registrytest.Options, sizes ...int) (*registrytest.Server, *fixture, reference.Ref) {
	t.Helper()
	s := registrytest.New(t, o)
	f := newFixture(t, sizes...)
	f.fill(t, s.Backend, "team/app")
	return s, f, mustRef(t, s.Host+"/team/app:latest")
}

func pullInto(t testing.TB, c *Client, ref reference.Ref, m *memory, o PullOptions) (PullResult, error) {
	t.Helper()
	if o.Platform.OS == "" {
		o.Platform = testPlatform()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := c.Pull(ctx, ref, m, o)
	if m.open != 0 {
		t.Errorf("%d ingests were left open", m.open)
	}
	if err != nil && errors.Is(err, io.EOF) {
		t.Errorf("the error reads as the end of a body: %v", err)
	}
	return res, err
}
