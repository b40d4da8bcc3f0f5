package unpack_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/internal/inflate"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// BenchmarkUnpack unpacks real images to disk; compare with BenchmarkBare, which is the least that
// any unpacker must do.
func BenchmarkUnpack(b *testing.B) {
	needRoot(b)
	for _, name := range []string{"debian", "python", "python-zstd", "python-plain"} {
		b.Run(name, func(b *testing.B) {
			l, _, img := tartest.RealImage(b, name)
			base := b.TempDir()
			var bytes int64
			for i := range b.N {
				dir := filepath.Join(base, fmt.Sprint(i))
				res, err := unpack.Unpack(b.Context(), img.Layers(), l, dir, unpack.Options{})
				if err != nil {
					b.Fatal(err)
				}
				bytes = 0
				for _, r := range res.Layers() {
					bytes += r.Bytes
				}
				b.StopTimer()
				os.RemoveAll(dir)
				b.StartTimer()
			}
			b.SetBytes(bytes)
		})
	}
}

// BenchmarkBare inflates and hashes the same layers, twice as the specs ask, and writes nothing.
func BenchmarkBare(b *testing.B) {
	for _, name := range []string{"debian", "python", "python-zstd", "python-plain"} {
		b.Run(name, func(b *testing.B) {
			l, _, img := tartest.RealImage(b, name)
			var bytes int64
			for range b.N {
				bytes = 0
				for _, layer := range img.Layers() {
					n, err := bare(l, layer)
					if err != nil {
						b.Fatal(err)
					}
					bytes += n
				}
			}
			b.SetBytes(bytes)
		})
	}
}

func bare(l tartest.Layout, layer image.Layer) (int64, error) {
	f, err := os.Open(l.Path(layer.Descriptor.Digest))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	blob := sha256.New()
	r := io.Reader(bufio.NewReaderSize(io.TeeReader(f, blob), 64<<10))
	c, err := image.LayerCompression(layer.Descriptor.MediaType)
	if err != nil {
		return 0, err
	}
	switch c {
	case image.Gzip:
		r = inflate.NewReader(r)
	case image.Zstd:
		var z *zstd.Decoder
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		r = z
	}
	if err != nil {
		return 0, err
	}
	return io.Copy(sha256.New(), struct{ io.Reader }{r})
}
