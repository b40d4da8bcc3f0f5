package repack_test

import (
	"bytes"
	"io"
	goruntime "runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	gzip "compress/gzip" // not the one that the package writes with

	"github.com/oci-pipeline/oci/image"
)

// inflated reads a blob by decoders that are not ours.
func inflated(tb testing.TB, blob []byte, c image.Compression) io.Reader {
	tb.Helper()
	switch c {
	case image.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(blob))
		if err != nil {
			tb.Fatal(err)
		}
		return z
	case image.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(blob))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(z.Close)
		return z
	}
	return bytes.NewReader(blob)
}

// withProcs runs f on a number of CPUs.
func withProcs(n int, f func() []byte) []byte {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(n))
	return f()
}
