package isocrc_test

import (
	"bytes"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/oci-pipeline/oci/unpack/internal/isocrc"
)

// standard is the sum that hash/crc64 gives.
func standard(p []byte) uint64 { return crc64.Checksum(p, crc64.MakeTable(crc64.ISO)) }

func TestLengths(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 300)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	for n := range p {
		h := isocrc.New()
		h.Write(p[:n])
		if got, want := h.Sum64(), standard(p[:n]); got != want {
			t.Fatalf("%d bytes: %016x, want %016x", n, got, want)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint16(0))
	f.Add(bytes.Repeat([]byte{0xff}, 1000), uint16(33))
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		h := isocrc.New()
		at := min(int(cut), len(p))
		h.Write(p[:at])
		h.Write(p[at:])
		other := crc64.New(crc64.MakeTable(crc64.ISO))
		other.Write(p)
		if !bytes.Equal(h.Sum(nil), other.Sum(nil)) {
			t.Fatalf("%x, want %x", h.Sum(nil), other.Sum(nil))
		}
		if h.Reset(); h.Sum64() != 0 {
			t.Fatal("a sum is left after Reset")
		}
	})
}

func BenchmarkSum(b *testing.B) {
	p := make([]byte, 64<<10)
	b.Run("isocrc", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		h := isocrc.New()
		for range b.N {
			h.Write(p)
		}
	})
	b.Run("hash-crc64", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		h := crc64.New(crc64.MakeTable(crc64.ISO))
		for range b.N {
			h.Write(p)
		}
	})
}
