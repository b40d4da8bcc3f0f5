package store

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BenchmarkIngest is what a pull costs beyond the network; BenchmarkSHA256 is the part of it that
// nobody can do without.
func BenchmarkIngest(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20) // 64 MiB
	d := ispec.Descriptor{MediaType: "a/b", Digest: digest.FromBytes(content), Size: int64(len(content))}
	s := open(b, b.TempDir(), Options{})
	b.SetBytes(d.Size)
	for b.Loop() {
		in, err := s.Ingest(b.Context(), d)
		if err != nil {
			b.Fatal(err)
		}
		for at := 0; at < len(content); at += 256 << 10 {
			if _, err := in.Write(content[at : at+256<<10]); err != nil {
				b.Fatal(err)
			}
		}
		if err := in.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := s.Discard(b.Context(), d.Digest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSHA256(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		h := sha256.New()
		if _, err := io.Copy(h, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is the part of the store in the start of every command.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, Options{})
	d := putImage(b, s, "x", linuxAMD64)
	if err := s.Tag(b.Context(), "x", d); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(b.Context(), dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		d, err := s.Resolve(b.Context(), "x")
		if err == nil {
			_, err = s.Image(b.Context(), d, linuxAMD64)
		}
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
