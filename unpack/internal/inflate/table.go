package inflate

import "math/bits"

// Sizes of the lookup tables. A primary table is indexed with the next bits of the stream; codes
// that are longer lead on to a subtable behind it. The numbers of entries that all subtables
// together can need are those of zlib's examples/enough.c: 294 for 288 symbols beside 11 bits, 146
// for 32 symbols beside 8; they are rounded up to powers of two, which makes the index provably
// in range.
const (
	litBits  = 11
	distBits = 8
	litSubs  = 512
	distSubs = 256
	codeBits = 7 // of the code lengths' own code

	litMask  = 1<<litBits - 1
	distMask = 1<<distBits - 1

	maxCode = 15 // bits of the longest code
	numLit  = 288
	numDist = 32
	numCode = 19
)

// Layout of a table entry.
//
//	bits  0-7   how many bits the symbol takes, its extra bits included
//	bits  8-11  how many of them are the code
//	bits 16-30  the literal; or the length or distance to which the extra bits are added
//	bit  31     the symbol is a literal
//	bit  15     the entry is none of these: with entrySub it leads to a subtable, with entryEnd it
//	            is the end of the block, with neither no symbol has this code
//
// One that leads to a subtable has the bits of the primary table in 0-7, those that index the
// subtable in 8-11 and the subtable's offset in 16-30. Entries of a subtable do not count the bits
// that led to it.
const (
	entryLiteral = 1 << 31
	entryOther   = 1 << 15
	entrySub     = 1 << 14
	entryEnd     = 1 << 13
)

type (
	litTable  [1<<litBits + litSubs]uint32
	distTable [1<<distBits + distSubs]uint32
	codeTable [1 << codeBits]uint32
)

// tables are what a block with Huffman codes is decoded with.
type tables struct {
	lit  litTable
	dist distTable
}

// litSymbol gives the entry of a literal or length symbol without its code (RFC 1951, 3.2.5). 286
// and 287 take part in the fixed code but never occur.
func litSymbol(sym int) uint32 {
	switch {
	case sym < 256:
		return entryLiteral | uint32(sym)<<16
	case sym == 256:
		return entryOther | entryEnd
	case sym > 285:
		return entryOther
	case sym == 285:
		return 258 << 16
	case sym < 265:
		return uint32(sym-254) << 16
	}
	extra := uint32(sym-261) >> 2
	return (3+(4+uint32(sym-265)&3)<<extra)<<16 | extra
}

// distSymbol gives the entry of a distance symbol; 30 and 31 never occur.
func distSymbol(sym int) uint32 {
	switch {
	case sym > 29:
		return entryOther
	case sym < 4:
		return uint32(sym+1) << 16
	}
	extra := uint32(sym-2) >> 1
	return (1+(2+uint32(sym)&1)<<extra)<<16 | extra
}

// codeSymbol gives the entry of a symbol of the code lengths' code.
func codeSymbol(sym int) uint32 { return uint32(sym) << 16 }

// canonical is a code in the order in which a table is filled: by length, then by symbol.
type canonical struct {
	count [maxCode + 1]int
	order [numLit]uint16
	used  int
	max   int
}

// sort orders the symbols that have a code, and tells whether the lengths are acceptable: they
// fill the code space exactly; or there is one code, of one bit, which is how an encoder writes a
// single distance; or none at all, which is how it writes that no distance occurs. An unused code
// is an error only where the stream has it. zlib and compress/flate accept the same.
func (c *canonical) sort(lens []uint8) bool {
	c.count = [maxCode + 1]int{}
	for _, l := range lens {
		c.count[l&maxCode]++
	}
	c.count[0] = 0
	var next [maxCode + 2]int
	space := 0
	c.max = 0
	for l := 1; l <= maxCode; l++ {
		next[l+1] = next[l] + c.count[l]
		space += c.count[l] << (maxCode - l)
		if c.count[l] != 0 {
			c.max = l
		}
	}
	c.used = next[maxCode+1]
	for sym, l := range lens {
		if l != 0 {
			c.order[next[l&maxCode]] = uint16(sym)
			next[l&maxCode]++
		}
	}
	return space == 1<<maxCode || c.used == 0 || c.used == 1 && c.max == 1
}

// build fills a table, with an index of width bits, for the code that lens describes.
func (c *canonical) build(table []uint32, width int, lens []uint8, entry func(sym int) uint32) bool {
	if !c.sort(lens) {
		return false
	}
	code, next := 0, 0 // the code is kept with its bits reversed, as the stream has it
	size := 1
	table[0] = entryOther // stays if there is no code
	for l := 1; l <= width; l++ {
		copy(table[size:2*size], table[:size]) // each shorter code, followed by one more bit
		size *= 2
		for range c.count[l] {
			table[code] = entry(int(c.order[next])) + uint32(l)<<8 + uint32(l)
			code = increment(code, l)
			next++
		}
	}
	if c.max > width {
		c.subtables(table, width, code, next, entry)
	}
	return true
}

// subtables fills in the codes that are longer than the primary index, from the next'th on.
func (c *canonical) subtables(table []uint32, width, code, next int, entry func(sym int) uint32) {
	prefix, start, span := -1, 0, 0
	end := 1 << width
	for l := width + 1; l <= c.max; l++ {
		for left := c.count[l]; left > 0; left-- {
			if p := code & (1<<width - 1); p != prefix {
				prefix, start = p, end
				span = l - width
				for have := left; have < 1<<span && width+span < c.max; {
					span++
					have = have<<1 + c.count[width+span]
				}
				end += 1 << span
				table[p] = entryOther | entrySub | uint32(start)<<16 | uint32(span)<<8 | uint32(width)
			}
			e := entry(int(c.order[next])) + uint32(l-width)<<8 + uint32(l-width)
			for i := code >> width; i < 1<<span; i += 1 << (l - width) {
				table[start+i] = e
			}
			code = increment(code, l)
			next++
		}
	}
}

// increment gives the code of l bits that follows, where bits are reversed: the highest zero
// becomes one, and all above it zero. After the last code it gives 0.
func increment(code, l int) int {
	high := bits.Len(uint(^code & (1<<l - 1)))
	if high == 0 {
		return 0
	}
	return code&(1<<(high-1)-1) | 1<<(high-1)
}
