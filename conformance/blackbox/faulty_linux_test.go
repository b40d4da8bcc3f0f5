package blackbox_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// faulty is a registry with one image, faulty/image:latest, that a test can spoil at any point.
type faulty struct {
	addr     string
	config   ispec.Image
	manifest ispec.Manifest
	layers   [][]byte // the compressed layers

	raw       []byte // the manifest as it is served; nil: manifest, encoded
	mediaType string // its Content-Type
	blobs     map[digest.Digest][]byte
	before    func(http.ResponseWriter, *http.Request) bool // true: it has answered

	sent     atomic.Int64 // bytes of bodies
	requests atomic.Int64
}

// entry is a file of a layer.
type entry struct {
	name, link string
	kind       byte
	body       string
	owner      int // uid and gid
}

// newFaulty makes a sound registry whose image has one layer with the entries.
func newFaulty(t *testing.T, entries ...entry) *faulty {
	t.Helper()
	if entries == nil {
		entries = []entry{{name: "etc/", kind: tar.TypeDir}, {name: "etc/hello", kind: tar.TypeReg, body: strings.Repeat("hello ", 5000)}}
	}
	f := &faulty{mediaType: ispec.MediaTypeImageManifest, blobs: map[digest.Digest][]byte{}}
	raw, packed := pack(t, entries)
	f.config = ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}
	f.config.Config.Cmd = []string{"/bin/true"}
	f.config.RootFS = ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(raw)}}
	f.layers = [][]byte{packed}
	f.seal(t)
	server := httptest.NewServer(f)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	f.addr = strings.TrimPrefix(server.URL, "http://")
	return f
}

// pack writes a layer: the tar, and the same compressed.
func pack(t *testing.T, entries []entry) (raw, packed []byte) {
	t.Helper()
	var a, b bytes.Buffer
	w := tar.NewWriter(&a)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.body)), Mode: 0o755, Uid: e.owner, Gid: e.owner, ModTime: time.Unix(1, 0)}
		check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, e.body)
		check(t, err)
	}
	check(t, w.Close())
	z := gzip.NewWriter(&b)
	_, err := z.Write(a.Bytes())
	check(t, err)
	check(t, z.Close())
	return a.Bytes(), b.Bytes()
}

// seal makes the manifest and the blobs of the config and the layers, as they are now.
func (f *faulty) seal(t *testing.T) {
	t.Helper()
	put := func(mediaType string, raw []byte) ispec.Descriptor {
		d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		f.blobs[d.Digest] = raw
		return d
	}
	raw, err := json.Marshal(f.config)
	check(t, err)
	f.manifest = ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest, Config: put(ispec.MediaTypeImageConfig, raw)}
	for _, l := range f.layers {
		f.manifest.Layers = append(f.manifest.Layers, put(ispec.MediaTypeImageLayerGzip, l))
	}
}

func (f *faulty) ref() string { return f.addr + "/faulty/image:latest" }

// layer is the digest of the only layer.
func (f *faulty) layer() digest.Digest { return f.manifest.Layers[0].Digest }

// ServeHTTP answers as a registry does, or as the test wants.
func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.requests.Add(1)
	w = &countingWriter{w, &f.sent}
	if r.URL.Path == "/v2/" || f.before != nil && f.before(w, r) {
		return
	}
	_, last, _ := strings.Cut(r.URL.Path, "/v2/faulty/image/")
	kind, name, _ := strings.Cut(last, "/")
	switch blob, ok := f.blobs[digest.Digest(name)]; {
	case kind == "manifests":
		raw := f.raw
		if raw == nil {
			raw, _ = json.Marshal(f.manifest)
		}
		w.Header().Set("Content-Type", f.mediaType)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
	case kind == "blobs" && ok:
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
	default:
		http.NotFound(w, r)
	}
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

// Write counts.
func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// Unwrap lets a http.ResponseController reach the connection.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
