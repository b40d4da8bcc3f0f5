package snapshot

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// layout reads blobs from an OCI image layout.
type layout string

func (l layout) read(tb testing.TB, d digest.Digest) []byte {
	tb.Helper()
	raw, err := os.ReadFile(l.path(d))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func (l layout) path(d digest.Digest) string {
	return filepath.Join(string(l), "blobs", d.Algorithm().String(), d.Encoded())
}

func (l layout) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	return os.Open(l.path(d.Digest))
}

func realLayers(tb testing.TB, name string) (layout, []image.Layer) {
	tb.Helper()
	dir := os.Getenv("OCI_TEST_IMAGES")
	if dir == "" {
		tb.Skip("OCI_TEST_IMAGES does not name a directory with real images")
	}
	l := layout(filepath.Join(dir, name))
	raw, err := os.ReadFile(filepath.Join(string(l), "index.json"))
	if err != nil {
		tb.Skipf("no image %s: %v", name, err)
	}
	mediaType := ispec.MediaTypeImageIndex
	for {
		idx, err := image.DecodeIndex(raw, mediaType)
		if err != nil {
			tb.Fatal(err)
		}
		d, err := image.Select(idx, image.HostPlatform())
		if err != nil {
			d = idx.Manifests[0] // no platform: an index.json that names one image
		}
		raw, mediaType = l.read(tb, d.Digest), d.MediaType
		if image.IsIndex(mediaType) {
			continue
		}
		m, err := image.DecodeManifest(raw, mediaType)
		if err != nil {
			tb.Fatal(err)
		}
		img, err := image.New(d, raw, l.read(tb, m.Config.Digest))
		if err != nil {
			tb.Fatal(err)
		}
		return l, img.Layers()
	}
}

// TestRealForms: real images give the same tree in both forms, and each layer's tar can be rebuilt.
func TestRealForms(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"busybox", "debian", "python-zstd"} {
		t.Run(name, func(t *testing.T) {
			l, layers := realLayers(t, name)
			sameForms(t, layers, l)
		})
	}
}
