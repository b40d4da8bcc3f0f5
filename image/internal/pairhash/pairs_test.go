package pairhash

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"math/rand/v2"
	"sync"
	"testing"
)

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// FuzzBlocks: two messages together give what crypto/sha256 gives for each.
func FuzzBlocks(f *testing.F) {
	if !paired() {
		f.Skip("this machine cannot hash two messages at once: it lacks the SHA extensions of x86")
	}
	f.Add([]byte("a"), []byte("b"), uint8(0))
	f.Add(random(1, 3000), random(2, 5000), uint8(63))
	f.Fuzz(func(t *testing.T, p, q []byte, head uint8) {
		var ps Pairs
		a, b := ps.New().(*Hash), ps.New().(*Hash)
		first := random(head, int(head)*sha256.BlockSize) // states other than the first
		a.alone(first, len(first))
		n := both(a, b, p, q)
		a.alone(p[n:], len(p)-n)
		b.alone(q[n:], len(q)-n)
		if want := sha256.Sum256(append(first, p...)); !bytes.Equal(a.Sum(nil), want[:]) {
			t.Errorf("first message: %x, want %x", a.Sum(nil), want)
		}
		if want := sha256.Sum256(q); !bytes.Equal(b.Sum(nil), want[:]) {
			t.Errorf("second message: %x, want %x", b.Sum(nil), want)
		}
		if n != min(len(p), len(q))/64*64 {
			t.Errorf("%d bytes of %d and %d", n, len(p), len(q))
		}
	})
}

// TestPairs: many goroutines with pieces of all sizes, and states that are saved between.
func TestPairs(t *testing.T) {
	const size = 3 << 20
	var ps Pairs
	var all sync.WaitGroup
	for i := range 9 {
		all.Go(func() {
			data, r := random(byte(i), size+i*17), rand.New(rand.NewPCG(1, uint64(i)))
			h := ps.New()
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN([]int{100, piece, 4 * piece, 1 << 20}[r.IntN(4)]))
				if w, err := h.Write(rest[:n]); w != n || err != nil {
					t.Errorf("wrote %d of %d, %v", w, n, err)
				}
				rest = rest[n:]
				if r.IntN(4) > 0 {
					continue
				}
				raw, err := h.(encoding.BinaryMarshaler).MarshalBinary()
				if err != nil {
					t.Error(err)
				}
				// It is that of crypto/sha256, so that either can go on.
				other := sha256.New()
				if err := other.(encoding.BinaryUnmarshaler).UnmarshalBinary(raw); err != nil {
					t.Error(err)
				}
				h = ps.New()
				if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(raw); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(other.Sum(nil), h.Sum(nil)) {
					t.Error("a restored state is another")
				}
			}
			if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("message %d: %x, want %x", i, h.Sum(nil), want)
			}
			h.Reset()
			h.Write(data)
			if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("message %d, again: %x, want %x", i, h.Sum(nil), want)
			}
		})
	}
	all.Wait()
	if ps.lead != nil {
		t.Error("somebody is at work still")
	}
	h := ps.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary([]byte("no state")); err == nil {
		t.Error("restored from nonsense")
	}
}

// TestJoin: who comes while another is at work is served by it.
func TestJoin(t *testing.T) {
	if !paired() {
		t.Skip("this machine cannot hash two messages at once: it lacks the SHA extensions of x86")
	}
	var ps Pairs
	p, q := random(1, 4<<20), random(2, 3<<20)
	a, b := ps.New().(*Hash), ps.New().(*Hash)
	l := &lead{}
	ps.lead = l // a is at work
	left := make(chan []byte)
	go func() { left <- ps.turn(b, q) }()
	var j *join
	for j == nil {
		j = ps.joined(l, false)
	}
	n := both(a, j.h, p, j.p)
	j.done <- n
	if rest := <-left; len(rest) != 0 || n != len(q) {
		t.Errorf("%d bytes at once, %d are left", n, len(rest))
	}
	a.alone(p[n:], len(p)-n)
	for h, data := range map[*Hash][]byte{a: p, b: q} {
		if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
			t.Errorf("%x, want %x", h.Sum(nil), want)
		}
	}
}

func BenchmarkBoth(b *testing.B) {
	if !paired() {
		b.Skip("this machine lacks the SHA extensions of x86")
	}
	var ps Pairs
	x, y, p := ps.New().(*Hash), ps.New().(*Hash), make([]byte, 1<<20)
	b.SetBytes(2 << 20)
	for b.Loop() {
		both(x, y, p, p)
	}
}

func BenchmarkAlone(b *testing.B) {
	h, p := sha256.New(), make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		h.Write(p)
	}
}

// TestProved: the trial that is made before anything is hashed passes here, so that the others show something.
func TestProved(t *testing.T) {
	if !able() {
		t.Skip("this machine lacks the SHA extensions of x86")
	}
	if !proved() || !paired() {
		t.Error("the two ways of hashing differ")
	}
}
