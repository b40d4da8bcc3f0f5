package pairhash

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	goruntime "runtime"
	"sync"
)

const (
	// piece is what a goroutine hashes alone before it looks for another: about 20 microseconds.
	piece = 32 << 10
	// magic begins the saved state of crypto/sha256; the state, a block and the length follow.
	magic     = "sha\x03"
	savedSize = len(magic) + sha256.Size + sha256.BlockSize + 8
)

// Pairs is where those meet who hash at the same time. The zero value is ready.
type Pairs struct {
	mu      sync.Mutex
	waiting *join // has just come
	lead    *lead // is at work alone
}

// A lead is a goroutine at work that another may join, once.
type lead struct{ joined *join }

// A join is a piece that was handed over.
type join struct {
	h    *Hash
	p    []byte
	done chan int // how much of p was hashed
}

// paired tells whether two messages can be hashed at once: the processor can, and what comes out is what
// crypto/sha256 says, whose saved state is read and written here. Whatever is amiss, it is left alone.
var paired = sync.OnceValue(func() bool { return able() && proved() })

// proved hashes two short messages in both ways.
func proved() bool {
	a, b := &Hash{Hash: sha256.New()}, &Hash{Hash: sha256.New()}
	saved, err := a.MarshalBinary()
	if err != nil || len(saved) != savedSize || string(saved[:len(magic)]) != magic {
		return false
	}
	var p, q [2 * sha256.BlockSize]byte
	for i := range p {
		p[i], q[i] = byte(i), byte(3*i+1)
	}
	both(a, b, p[:], q[:])
	return [sha256.Size]byte(a.Sum(nil)) == sha256.Sum256(p[:]) && [sha256.Size]byte(b.Sum(nil)) == sha256.Sum256(q[:])
}

// New gives a SHA-256 that pairs with the others of ps. Each is for one goroutine at a time.
func (ps *Pairs) New() hash.Hash { return &Hash{Hash: sha256.New(), pairs: ps} }

// Hash is crypto/sha256, with a Write that may take two messages at once. Its state is saved and
// restored in the form of crypto/sha256.
type Hash struct {
	hash.Hash
	pairs *Pairs
	n     uint64 // bytes written
}

// Write implements io.Writer. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	n := len(p)
	if n >= 2*piece && paired() {
		if rest := int(h.n % sha256.BlockSize); rest != 0 { // only whole blocks are paired
			p = h.alone(p, sha256.BlockSize-rest)
		}
		for len(p) >= piece {
			p = h.pairs.turn(h, p)
		}
	}
	h.alone(p, len(p))
	return n, nil
}

// Reset implements hash.Hash.
func (h *Hash) Reset() {
	h.Hash.Reset()
	h.n = 0
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (h *Hash) MarshalBinary() ([]byte, error) {
	return h.Hash.(encoding.BinaryMarshaler).MarshalBinary()
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (h *Hash) UnmarshalBinary(raw []byte) error {
	if err := h.Hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(raw); err != nil {
		return err
	}
	h.n = binary.BigEndian.Uint64(raw[len(raw)-8:])
	return nil
}

// alone hashes the first n bytes of p and gives the rest.
func (h *Hash) alone(p []byte, n int) []byte {
	h.Hash.Write(p[:n])
	h.n += uint64(n)
	return p[n:]
}

// turn hashes some of p, whole blocks, and gives the rest. It is done here for whoever waits; or by
// whoever is at work alone, or comes next; or else here, until another joins.
func (ps *Pairs) turn(h *Hash, p []byte) []byte {
	own := &join{h: h, p: p, done: make(chan int, 1)}
	ps.mu.Lock()
	if other := ps.waiting; other != nil {
		ps.waiting = nil
		ps.mu.Unlock()
		n := both(h, other.h, p, other.p)
		other.done <- n
		return p[n:]
	}
	if l := ps.lead; l != nil {
		l.joined, ps.lead = own, nil
		ps.mu.Unlock()
		return p[<-own.done:]
	}
	ps.waiting = own
	ps.mu.Unlock()
	goruntime.Gosched() // whoever is ready to run may come here next
	ps.mu.Lock()
	if ps.waiting != own {
		ps.mu.Unlock()
		return p[<-own.done:]
	}
	l := &lead{}
	ps.waiting, ps.lead = nil, l
	ps.mu.Unlock()
	for len(p) >= piece {
		p = h.alone(p, piece)
		if j := ps.joined(l, len(p) < piece); j != nil {
			n := both(h, j.h, p, j.p)
			j.done <- n
			return p[n:]
		}
	}
	return p
}

// joined gives who has joined l; nil if nobody has. After the last time nobody will.
func (ps *Pairs) joined(l *lead, last bool) *join {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if last && ps.lead == l {
		ps.lead = nil
	}
	return l.joined
}

// both hashes the same number of bytes of p and q, as many whole blocks as they have, and gives it.
func both(a, b *Hash, p, q []byte) int {
	blocks := min(len(p), len(q)) / sha256.BlockSize
	if blocks == 0 {
		return 0
	}
	x, y := a.state(), b.state()
	blocks2(&x, &y, &p[0], &q[0], blocks)
	a.setState(x, blocks)
	b.setState(y, blocks)
	return blocks * sha256.BlockSize
}

// state gives the eight words of the state at the end of a block.
func (h *Hash) state() (s [8]uint32) {
	raw, err := h.MarshalBinary()
	if err != nil || len(raw) != savedSize || string(raw[:len(magic)]) != magic {
		panic("pairhash: crypto/sha256 saves its state in another form") // proved has seen the form
	}
	for i := range s {
		s[i] = binary.BigEndian.Uint32(raw[len(magic)+4*i:])
	}
	return s
}

// setState puts h behind some more blocks.
func (h *Hash) setState(s [8]uint32, blocks int) {
	raw := make([]byte, 0, savedSize)
	raw = append(raw, magic...)
	for _, w := range s {
		raw = binary.BigEndian.AppendUint32(raw, w)
	}
	raw = append(raw, make([]byte, sha256.BlockSize)...)
	raw = binary.BigEndian.AppendUint64(raw, h.n+uint64(blocks)*sha256.BlockSize)
	if err := h.UnmarshalBinary(raw); err != nil {
		panic("pairhash: " + err.Error())
	}
}
