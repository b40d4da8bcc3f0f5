package unpack_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH51_padding: padding goes to the log in pieces, and no more of it than allowed.
func TestH51_padding(t *testing.T) {
	needRoot(t)
	tar := cat(tartest.Archive(file("f", "x")), make([]byte, 5<<20))
	blobs := tartest.Blobs{}
	layer := blobs.GzipTar(tar)
	root, err := unpack.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var log bytes.Buffer
	o := unpack.Options{Log: &log}
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, o); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log.Bytes()) {
		if len(line) > 2<<20 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if err := root.RemoveContents(); err != nil {
		t.Fatal(err)
	}
	o.Limits.LogBytes = 1 << 20
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, o); !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
}

// TestMemory: memory does not grow with the layer (H-42 and the promise of doc.go).
func TestMemory(t *testing.T) {
	needRoot(t)
	pr, pw := io.Pipe()
	const size = 64 << 20
	go func() {
		z, _ := gzip.NewWriterLevel(pw, gzip.NoCompression)
		z.Write(tartest.Header(tartest.Entry{Name: "big"}, size))
		rnd := rand.NewChaCha8([32]byte{})
		io.CopyN(z, rnd, size)
		z.Write(make([]byte, 1024))
		z.Close()
		pw.Close()
	}()
	// The blob is written once to know its digests, and then read from disk.
	path := filepath.Join(t.TempDir(), "blob")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := digest.SHA256.Digester()
	n, err := io.Copy(io.MultiWriter(f, sum.Hash()), pr)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	f, _ = os.Open(path)
	z, _ := gzip.NewReader(f)
	diff, err := digest.FromReader(z)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	layer := image.Layer{Descriptor: ispec.Descriptor{MediaType: ispec.MediaTypeImageLayerGzip, Digest: sum.Digest(), Size: n}, DiffID: diff}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, oneBlob(path), filepath.Join(t.TempDir(), "r"), unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	goruntime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 6<<20 {
		t.Errorf("%d MiB were allocated for a layer of %d MiB", got>>20, size>>20)
	}
}

type oneBlob string

func (b oneBlob) Open(context.Context, ispec.Descriptor) (io.ReadCloser, error) {
	return os.Open(string(b))
}

// TestH42_headers: special headers over 1 MiB are refused, not collected.
func TestH42_headers(t *testing.T) {
	needRoot(t)
	huge := tartest.Header(tartest.Entry{Name: "x", Type: 'x'}, 1<<30)
	for name, raw := range map[string][]byte{
		"pax": cat(huge, make([]byte, 3<<20)), "gnu": cat(tartest.Header(tartest.Entry{Name: "L", Type: 'L', Magic: "ustar  \x00"}, 1<<30), bytes.Repeat([]byte("n"), 3<<20)),
	} {
		blobs := tartest.Blobs{}
		_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.GzipTar(raw)}, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{})
		if !errors.Is(err, unpack.ErrTar) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
