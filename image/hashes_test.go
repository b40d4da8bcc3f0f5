package image

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestHashes_together proves contents at the same time, and refuses what the function refuses.
func TestHashes_together(t *testing.T) {
	var hashes Hashes
	var wg sync.WaitGroup
	for i := range 8 {
		data := bytes.Repeat([]byte{byte(i), 1, 2}, 300_000+i)
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			want := ispec.Descriptor{Digest: algorithm.FromBytes(data), Size: int64(len(data))}
			wrong := ispec.Descriptor{Digest: algorithm.FromString("other"), Size: want.Size}
			for _, c := range []struct {
				want ispec.Descriptor
				err  error
			}{{want, nil}, {wrong, ErrDigestMismatch}} {
				wg.Go(func() {
					v, err := hashes.NewVerifier(bytes.NewReader(data), c.want)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{v}, make([]byte, 128<<10)); !errors.Is(err, c.err) {
						t.Errorf("%d, %s: %v, want %v", i, algorithm, err, c.err)
					}
				})
			}
		}
	}
	wg.Wait()
	for _, d := range []digest.Digest{"", "sha256:", "sha256:00", "md5:00000000000000000000000000000000"} {
		_, want := NewHash(d)
		_, err := hashes.New(d)
		if err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%q: %v, want %v", d, err, want)
		}
	}
}
