package isocrc

import (
	"encoding/binary"
	"hash"
)

// Size is the bytes of a sum.
const Size = 8

// New gives a hash whose sums are those of crc64.New(crc64.MakeTable(crc64.ISO)).
func New() hash.Hash64 { return new(digest) }

// digest is the sum so far, as hash/crc64 keeps it: the coefficient of x^0 is the highest bit.
type digest uint64

func (d *digest) Size() int      { return Size }
func (d *digest) BlockSize() int { return 1 }
func (d *digest) Reset()         { *d = 0 }
func (d *digest) Sum64() uint64  { return uint64(*d) }

func (d *digest) Sum(in []byte) []byte { return binary.BigEndian.AppendUint64(in, uint64(*d)) }

func (d *digest) Write(p []byte) (int, error) {
	*d = digest(update(uint64(*d), p))
	return len(p), nil
}

// lanes is the bytes of the words that are summed beside each other.
const lanes = 4 * 8

// update adds p to a sum.
func update(sum uint64, p []byte) uint64 {
	c := ^sum
	if len(p) >= 2*lanes {
		var a, b, e uint64
		a, b, c, e = load(p, c)
		for p = p[lanes:]; len(p) >= lanes; p = p[lanes:] {
			a = byX256(a) ^ binary.LittleEndian.Uint64(p)
			b = byX256(b) ^ binary.LittleEndian.Uint64(p[8:])
			c = byX256(c) ^ binary.LittleEndian.Uint64(p[16:])
			e = byX256(e) ^ binary.LittleEndian.Uint64(p[24:])
		}
		c = byX64(byX64(byX64(byX64(a)^b)^c) ^ e)
	}
	for ; len(p) >= 8; p = p[8:] {
		c = byX64(c ^ binary.LittleEndian.Uint64(p))
	}
	for _, v := range p {
		c = byX8(c ^ uint64(v))
	}
	return ^c
}

// load gives the first words of p, what was summed before added to the first.
func load(p []byte, c uint64) (_, _, _, _ uint64) {
	return c ^ binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:]),
		binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
}

// byX64 multiplies by x^64 modulo the polynomial. The coefficient of x^0 is the highest bit, so that a
// shift to the right multiplies by x; what it shifts out is what would be x^64 and more, and comes
// back multiplied by the same factor, now small enough to stay.
func byX64(c uint64) uint64 {
	out := c<<63 ^ c<<61 ^ c<<60
	return c ^ c>>1 ^ c>>3 ^ c>>4 ^ out ^ out>>1 ^ out>>3 ^ out>>4
}

// byX256 multiplies by x^256.
func byX256(c uint64) uint64 {
	out := c<<60 ^ c<<52 ^ c<<48
	return c ^ c>>4 ^ c>>12 ^ c>>16 ^ out ^ out>>1 ^ out>>3 ^ out>>4
}

// byX8 multiplies by x^8.
func byX8(c uint64) uint64 {
	out := c << 56
	return c>>8 ^ out ^ out>>1 ^ out>>3 ^ out>>4
}

// Update adds p to a sum, 0 at first.
func Update(sum uint64, p []byte) uint64 { return update(sum, p) }
