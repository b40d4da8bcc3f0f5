package inflate

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// guarded gives n bytes (a multiple of the page size) with pages around them that no one may touch.
func guarded(t *testing.T, n int) []byte {
	t.Helper()
	page := unix.Getpagesize()
	b, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	for _, guard := range [][]byte{b[:page], b[page+n:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return b[page : page+n : page+n]
}

// TestStaysInBuffers decodes, in all shapes of window, between pages whose touch ends the process:
// the assembly has no other bounds checks.
func TestStaysInBuffers(t *testing.T) {
	page := unix.Getpagesize()
	in, out := guarded(t, 16*page), guarded(t, 64*page)
	data := sample(200_000, 40)
	runs := bytes.Repeat([]byte{0}, 200_000)
	for _, want := range [][]byte{data, runs} {
		for _, level := range []int{1, 9, flate.HuffmanOnly} {
			src := member(plainHeader, deflate(t, want, level), want)
			for i := range 30 {
				r := newReader(nil, 0, 0, 0, 0)
				r.buf = in[len(in)-600-40*i:]
				r.out = out[len(out)-history-outSlack-1-9*i*i:]
				r.Reset(onlyReader{bytes.NewReader(src)})
				got, err := io.ReadAll(onlyReader{r})
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("level %d, %d: %d bytes, %v", level, i, len(got), err)
				}
			}
		}
	}
}

// TestStaysBehindStart puts matches that reach too far at the very start of the memory.
func TestStaysBehindStart(t *testing.T) {
	page := unix.Getpagesize()
	out := guarded(t, 64*page)
	for dist := 1; dist <= history; dist += 1 + dist/7 {
		var b bytes.Buffer
		w, err := flate.NewWriterDict(&b, 9, sample(history, 41))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(sample(history, 41)[history-dist:])
		w.Close()
		r := NewReader(io.MultiReader(bytes.NewReader([]byte(plainHeader)), &b, bytes.NewReader(make([]byte, 1000))))
		r.out = out
		r.limit = len(out) - outSlack
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("distance %d: accepted", dist)
		}
	}
}
