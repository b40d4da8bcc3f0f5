package inflate

// core is what the loops share that turn symbols into bytes. The assembly knows its layout by the
// names in go_asm.h.
type core struct {
	in   []byte // input read but not yet taken
	pos  int    // in[:pos] is taken
	bits uint64 // taken input that is not yet used, the next bit lowest; zero above nbits
	have uint64 // how many bits there are: 0 to 63

	out   []byte // history, then the bytes not yet given out, then room
	w     int    // out[:w] is decoded
	base  int    // where the member starts in out: no match reaches further back
	limit int    // no symbol is decoded once w >= limit: beyond lies room for the longest

	tables *tables
	fast   func(*core) event // the fast loop for this processor
}

// Room that the loops want beyond where they stop, so that they need not look before each byte.
const (
	// inSlack is how far before the end of the input the fast loops stop: one round takes at most
	// three refills of 7 bytes, each of which loads 8.
	inSlack = 3*7 + 8
	// outSlack is what one round of a fast loop may touch: two literals, the longest match, and what
	// copying it in pieces of up to 32 bytes reads and writes too much.
	outSlack = 8 + maxMatch + 64

	maxMatch = 258
)

// whole gives back the input bytes that were taken but not used at all.
func (c *core) whole() {
	n := int(c.have >> 3)
	c.pos -= n
	c.have &= 7
	c.bits &= 1<<c.have - 1
}

// take gets bits, as many as fit, from the input that is there.
func (c *core) take() {
	for c.have < 56 && c.pos < len(c.in) {
		c.bits |= uint64(c.in[c.pos]) << c.have
		c.pos++
		c.have += 8
	}
}

// need tells whether n bits are there, n <= 48.
func (c *core) need(n uint64) bool {
	if c.have < n {
		c.take()
	}
	return c.have >= n
}

// pop uses n bits that are there.
func (c *core) pop(n uint64) uint64 {
	v := c.bits & (1<<n - 1)
	c.bits >>= n
	c.have -= n
	return v
}

// event is why a loop stopped.
type event int

const (
	atEdge  event = iota // little input or room is left, or the next symbol is for the slow loop
	atEnd                // the block ended
	atShort              // the input that is there ends within a symbol, which is not used
	badCode              // no symbol has this code, or one that never occurs
	badDist              // a match reaches back before the start of the member
)

// symbol decodes one symbol, wherever it lies.
func (c *core) symbol() event {
	c.take() // the longest symbol has 48 bits
	b, have := c.bits, c.have
	e := c.tables.lit[b&litMask]
	if e&entrySub != 0 {
		if have < litBits {
			return atShort
		}
		e = c.tables.longLit(e, b)
		b, have = b>>litBits, have-litBits
	}
	used := uint64(e & 0x3f)
	if used > have {
		return atShort
	}
	switch {
	case int32(e) < 0:
		c.bits, c.have = b>>used, have-used
		c.out[c.w] = byte(e >> 16)
		c.w++
		return atEdge
	case e&entryEnd != 0:
		c.bits, c.have = b>>used, have-used
		return atEnd
	case e&entryOther != 0:
		return badCode
	}
	length := int(e>>16) + extra(b, e)
	return c.match(b>>used, have-used, length)
}

// extra gives the extra bits of the symbol whose entry is e and whose code b starts with.
func extra(b uint64, e uint32) int {
	return int(b & (1<<(e&0x3f) - 1) >> (e >> 8 & 15))
}

// match decodes the distance behind a length.
func (c *core) match(b, have uint64, length int) event {
	e := c.tables.dist[b&distMask]
	if e&entrySub != 0 {
		if have < distBits {
			return atShort
		}
		e = c.tables.longDist(e, b)
		b, have = b>>distBits, have-distBits
	}
	used := uint64(e & 0x3f)
	switch {
	case used > have:
		return atShort
	case e&entryOther != 0:
		return badCode
	}
	from := c.w - int(e>>16) - extra(b, e)
	if from < c.base {
		return badDist
	}
	c.bits, c.have = b>>used, have-used
	for i := range length {
		c.out[c.w+i] = c.out[from+i]
	}
	c.w += length
	return atEdge
}
