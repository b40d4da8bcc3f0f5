package transport

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

// sink gives a store the shape of a Sink, as its users do.
type sink struct{ *store.Store }

func (s sink) Ingest(ctx context.Context, d ispec.Descriptor) (Ingest, error) {
	in, err := s.Store.Ingest(ctx, d)
	if err != nil {
		return nil, err
	}
	return in, nil
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustParse(t testing.TB, s string) reference.Ref {
	t.Helper()
	ref, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// copyIn copies what ref names into s.
func copyIn(t testing.TB, s *store.Store, ref string, o CopyOptions) (Copied, error) {
	t.Helper()
	o.Ref = mustParse(t, ref)
	src, err := Open(t.Context(), o.Ref)
	if err != nil {
		return Copied{}, err
	}
	defer src.Close()
	return Copy(t.Context(), src, sink{s}, o)
}

func mustCopy(t testing.TB, s *store.Store, ref string, o CopyOptions) Copied {
	t.Helper()
	c, err := copyIn(t, s, ref, o)
	if err != nil {
		t.Fatal(err)
	}
	mustBeValid(t, s)
	return c
}

func mustBeValid(t testing.TB, s *store.Store) {
	t.Helper()
	r, err := s.Check(t.Context())
	if err != nil || !r.OK() {
		t.Fatalf("the store is not valid: %v, %v", r.Problems, err)
	}
}

// member is a member of a tar.
type member struct {
	name, content, link string
	kind                byte
}

// makeTar gives a tar of members.
func makeTar(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		if m.kind == 0 {
			m.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: m.name, Typeflag: m.kind, Linkname: m.link, Size: int64(len(m.content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// fixture is an OCI layout that a test makes, right or wrong.
type fixture struct {
	t   testing.TB
	dir string
}

func newTestLayout(t testing.TB) fixture {
	t.Helper()
	l := fixture{t, t.TempDir()}
	l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return l
}

func (l fixture) write(name string, raw []byte) {
	l.t.Helper()
	name = filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// blob writes content under its digest.
func (l fixture) blob(mediaType string, raw []byte) ispec.Descriptor {
	l.t.Helper()
	d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	l.write("blobs/sha256/"+d.Digest.Encoded(), raw)
	return d
}

func (l fixture) json(mediaType string, v any) ispec.Descriptor {
	l.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(mediaType, raw)
}

// image writes an image with one layer of each compression.
func (l fixture) image(p ispec.Platform) ispec.Descriptor {
	l.t.Helper()
	m := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest}
	config := ispec.Image{Platform: p, RootFS: ispec.RootFS{Type: "layers"}}
	for _, mt := range []string{ispec.MediaTypeImageLayer, ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd} {
		plain := makeTar(l.t, member{name: "file-of-" + filepath.Base(mt), content: p.Architecture + mt})
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		m.Layers = append(m.Layers, l.blob(mt, pack(l.t, mt, plain)))
	}
	config.Config.Cmd = []string{"/bin/true"}
	m.Config = l.json(ispec.MediaTypeImageConfig, config)
	return l.json(ispec.MediaTypeImageManifest, m)
}

func pack(t testing.TB, mediaType string, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	switch mediaType {
	case ispec.MediaTypeImageLayerGzip:
		w = gzip.NewWriter(&buf)
	case ispec.MediaTypeImageLayerZstd:
		z, err := zstd.NewWriter(&buf)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return plain
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// index writes index.json.
func (l fixture) index(list ...ispec.Descriptor) {
	l.t.Helper()
	raw, err := json.Marshal(ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: list})
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("index.json", raw)
}

func named(d ispec.Descriptor, name string) ispec.Descriptor {
	d.Annotations = map[string]string{ispec.AnnotationRefName: name}
	return d
}

var (
	amd64 = ispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = ispec.Platform{OS: "linux", Architecture: "arm64"}
)

// multi makes a layout with an index of two platforms.
func multi(t testing.TB) (l fixture, root, amd, arm ispec.Descriptor) {
	t.Helper()
	l = newTestLayout(t)
	amd, arm = l.image(amd64), l.image(arm64)
	a, b := amd, arm
	a.Platform, b.Platform = &amd64, &arm64
	root = l.json(ispec.MediaTypeImageIndex, ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{b, a}})
	l.index(named(root, "multi"), named(amd, "amd"), named(arm, "arm"))
	return l, root, amd, arm
}

// tree gives the names and contents below a directory.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		out[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tarDir makes a tar of a directory and gives its path.
func tarDir(t testing.TB, dir string) string {
	t.Helper()
	var members []member
	for name, content := range tree(t, dir) {
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, member{name: "./" + rel, content: content})
	}
	return writeFile(t, makeTar(t, members...))
}

func writeFile(t testing.TB, raw []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func hostArch() ispec.Platform { return image.HostPlatform() }
