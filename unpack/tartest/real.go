package tartest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// Layout is the directory of an OCI image layout; it gives blobs as unpack.Blobs does.
type Layout string

// Path is the file of a blob.
func (l Layout) Path(d digest.Digest) string {
	return filepath.Join(string(l), ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// Open opens a blob.
func (l Layout) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	return os.Open(l.Path(d.Digest))
}

// RealImage gives an image of the directory OCI_TEST_IMAGES for this machine, and the tag by which umoci, which
// reads no index, knows it. Without such an image the test is skipped.
func RealImage(tb testing.TB, name string) (Layout, string, image.Image) {
	tb.Helper()
	dir := os.Getenv("OCI_TEST_IMAGES")
	if dir == "" {
		tb.Skip("OCI_TEST_IMAGES does not name a directory with real images")
	}
	l := Layout(filepath.Join(dir, name))
	raw, err := os.ReadFile(filepath.Join(string(l), ispec.ImageIndexFile))
	if err != nil {
		tb.Skipf("no image %s: %v", name, err)
	}
	index, err := image.DecodeIndex(raw, ispec.MediaTypeImageIndex)
	if err != nil {
		tb.Fatal(err)
	}
	for _, want := range []string{goruntime.GOARCH, "latest"} {
		for _, d := range index.Manifests {
			if tag := d.Annotations[ispec.AnnotationRefName]; tag == want {
				return l, tag, l.image(tb, d)
			}
		}
	}
	tb.Fatalf("%s has no tag latest", name)
	return "", "", image.Image{}
}

func (l Layout) image(tb testing.TB, d ispec.Descriptor) image.Image {
	tb.Helper()
	read := func(d ispec.Descriptor) []byte {
		raw, err := os.ReadFile(l.Path(d.Digest))
		if err != nil {
			tb.Fatal(err)
		}
		return raw
	}
	raw := read(d)
	if image.IsIndex(d.MediaType) {
		index, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			tb.Fatal(err)
		}
		if d, err = image.Select(index, image.HostPlatform()); err != nil {
			tb.Fatal(err)
		}
		raw = read(d)
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		tb.Fatal(err)
	}
	img, err := image.New(d, raw, read(m.Config))
	if err != nil {
		tb.Fatal(err)
	}
	return img
}
