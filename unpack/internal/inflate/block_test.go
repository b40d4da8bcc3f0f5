package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/bits"
	"testing"
)

// bitString is DEFLATE data put together by hand: each call appends n bits, the lowest first.
type bitString struct {
	b []byte
	n int
}

func (s bitString) put(v uint64, n int) bitString {
	s.b = bytes.Clone(s.b)
	for i := range n {
		if s.n%8 == 0 {
			s.b = append(s.b, 0)
		}
		s.b[s.n/8] |= byte(v>>i&1) << (s.n % 8)
		s.n++
	}
	return s
}

// code appends a Huffman code, which goes in from its highest bit (RFC 1951, 3.1.1).
func (s bitString) code(v uint64, n int) bitString {
	return s.put(bits.Reverse64(v)>>(64-n), n)
}

func (s bitString) bytes() []byte { return s.b }

// dynamic starts a final dynamic block. Its code lengths have codes of 4 bits up to 12, of 5 bits
// from 13 to 18.
func dynamic(lits, dists int) bitString {
	s := bitString{}.put(1, 1).put(2, 2).put(uint64(lits-257), 5).put(uint64(dists-1), 5).put(19-4, 4)
	for i := range len(codeOrder) {
		n := uint64(5)
		if codeOrder[i] < 13 {
			n = 4
		}
		s = s.put(n, 3)
	}
	return s
}

// length appends the lengths of codes, or 16 to 18 without what belongs behind them.
func (s bitString) length(lens ...int) bitString {
	for _, l := range lens {
		if l < 13 {
			s = s.code(uint64(l), 4)
		} else {
			s = s.code(uint64(26+l-13), 5)
		}
	}
	return s
}

// zeros appends n lengths of zero.
func (s bitString) zeros(n int) bitString {
	for n > 0 {
		k := min(n, 138)
		if k < 11 {
			s, k = s.length(0), 1
		} else {
			s = s.length(18).put(uint64(k-11), 7)
		}
		n -= k
	}
	return s
}

// nearly is a literal code of 'a' and the end of the block with a bit each, and no lengths.
func nearly() bitString { return dynamic(257, 1).zeros(97).length(1).zeros(158).length(1) }

type blockCase struct {
	name string
	bits bitString
	out  string
	err  error
}

func blockCases() []blockCase {
	start := bitString{}.put(1, 1)
	fixed := start.put(1, 2)
	lit := func(s bitString, c byte) bitString { return s.code(uint64(c)+0x30, 8) }
	end := func(s bitString) bitString { return s.code(0, 7) }
	abc := lit(lit(lit(fixed, 'a'), 'b'), 'c')
	oneDist := dynamic(258, 1).zeros(97).length(1).zeros(158).length(2, 2).length(1) // 'a' 0, end 10, length three 11
	return []blockCase{
		{"stored", bitString{[]byte("\x01\x03\x00\xfc\xffabc"), 64}, "abc", nil},
		{"stored, empty", bitString{[]byte("\x01\x00\x00\xff\xff"), 40}, "", nil},
		{"stored, then stored", bitString{[]byte("\x00\x01\x00\xfe\xffa\x01\x01\x00\xfe\xffb"), 96}, "ab", nil},
		{"stored, rubbish before the length", bitString{[]byte("\xf9\x01\x00\xfe\xffa"), 48}, "a", nil},
		{"stored, bad complement", bitString{[]byte("\x01\x03\x00\xfc\xfeabc"), 64}, "", ErrCorrupt},
		{"stored, short", bitString{[]byte("\x01\x03\x00\xfc\xffab"), 56}, "ab", io.ErrUnexpectedEOF},
		{"reserved", start.put(3, 2), "", ErrCorrupt},
		{"fixed", end(abc), "abc", nil},
		{"fixed, match", end(abc.code(1, 7).code(2, 5)), "abcabc", nil},
		{"fixed, run", end(abc.code(0xc0+285-280, 8).code(0, 5)), "abc" + string(bytes.Repeat([]byte("c"), 258)), nil},
		{"fixed, 258 in two ways", end(abc.code(0xc0+284-280, 8).put(31, 5).code(0, 5)), "abc" + string(bytes.Repeat([]byte("c"), 258)), nil},
		{"fixed, too far", abc.code(1, 7).code(3, 5), "abc", ErrCorrupt},
		{"fixed, length 286", abc.code(0xc6, 8), "abc", ErrCorrupt},
		{"fixed, length 287", abc.code(0xc7, 8), "abc", ErrCorrupt},
		{"fixed, distance 30", abc.code(1, 7).code(30, 5), "abc", ErrCorrupt},
		{"fixed, distance 31", abc.code(1, 7).code(31, 5), "abc", ErrCorrupt},
		{"fixed, no end", abc, "abc", io.ErrUnexpectedEOF},
		{"dynamic", nearly().length(0).code(0, 1).code(0, 1).code(1, 1), "aa", nil},
		{"dynamic, 287 literals", dynamic(287, 1), "", ErrCorrupt},
		{"dynamic, 31 distances", dynamic(257, 31), "", ErrCorrupt},
		{"dynamic, no code lengths' code", start.put(2, 2).put(0, 14).put(0, 12).put(0, 64), "", ErrCorrupt},
		{"dynamic, too many code lengths' codes", start.put(2, 2).put(0, 14).put(0o1111, 12), "", ErrCorrupt},
		{"dynamic, repeats nothing", dynamic(257, 1).length(16).put(0, 2), "", ErrCorrupt},
		{"dynamic, zeros beyond", dynamic(257, 1).zeros(138).length(18).put(127, 7), "", ErrCorrupt},
		{"dynamic, repeats beyond", dynamic(257, 1).zeros(256).length(1).length(16).put(0, 2), "", ErrCorrupt},
		{"dynamic, no literals", dynamic(257, 1).zeros(258).put(0, 60), "", ErrCorrupt},
		{"dynamic, incomplete literals", dynamic(257, 1).zeros(256).length(2).length(0).put(0, 60), "", ErrCorrupt},
		{"dynamic, too many literals", dynamic(257, 1).length(1, 1).zeros(254).length(1).length(0), "", ErrCorrupt},
		{"dynamic, only the end", dynamic(257, 1).zeros(256).length(1).length(0).code(0, 1), "", nil},
		{"dynamic, only the end, the other bit", dynamic(257, 1).zeros(256).length(1).length(0).code(1, 1), "", ErrCorrupt},
		{"dynamic, one distance", oneDist.code(0, 1).code(3, 2).code(0, 1).code(2, 2), "aaaa", nil},
		{"dynamic, one distance, the other bit", oneDist.code(0, 1).code(3, 2).code(1, 1).code(2, 2), "a", ErrCorrupt},
		{"dynamic, no distance", dynamic(258, 1).zeros(97).length(1).zeros(158).length(2, 2).length(0).code(0, 1).code(3, 2), "a", ErrCorrupt},
		{"dynamic, incomplete distances", nearly().length(2).put(0, 60), "", ErrCorrupt},
		{"dynamic, longest codes", longest(), "a`", nil},
	}
}

// longest has a code of each length up to 15 bits for literals and distances.
func longest() bitString {
	s := dynamic(257, 16).zeros(83)
	s = s.length(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14) // symbols 83 to 96: 'a' is 97
	s = s.length(15).zeros(158).length(15)
	s = s.length(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15)
	return s.code(1<<15-2, 15).code(1<<14-2, 14).code(1<<15-1, 15)
}

func TestBlocks(t *testing.T) {
	all := kinds()
	for _, c := range blockCases() {
		t.Run(c.name, func(t *testing.T) {
			in := append([]byte(plainHeader), c.bits.bytes()...)
			if c.err == nil {
				in = member(plainHeader, c.bits.bytes(), []byte(c.out))
			}
			for i, src := range readers(in) {
				got, err := io.ReadAll(NewReader(src))
				if !errors.Is(err, c.err) || string(got) != c.out {
					t.Errorf("reader %d: got %q, %v; want %q, %v", i, got, err, c.out, c.err)
				}
			}
			compare(t, all, c.bits.bytes())
			// With much input behind it, the fast loop sees the same symbols.
			compare(t, all, append(c.bits.bytes(), make([]byte, 100)...))
		})
	}
}

// TestMutations breaks real streams in each byte, and compares with compress/flate what comes of it.
func TestMutations(t *testing.T) {
	all := kinds()
	for _, level := range []int{0, 1, 6, flate.HuffmanOnly} {
		in := deflate(t, sample(1000, 20), level)
		for i := range in {
			for _, flip := range []byte{1, 0xff} {
				in[i] ^= flip
				compare(t, all, in)
				in[i] ^= flip
			}
		}
	}
}

// TestTables has random complete codes of all shapes, encoded and decoded.
func TestTables(t *testing.T) {
	for seed := range uint64(300) {
		lens := randomCode(numLit, seed)
		var c canonical
		var table litTable
		if !c.build(table[:], litBits, lens, litSymbol) {
			t.Fatalf("%d: a complete code is refused", seed)
		}
		for sym, code := range codes(lens) {
			l := int(lens[sym])
			if l == 0 {
				continue
			}
			for _, behind := range []uint64{0, ^uint64(0)} {
				b := code | behind<<l
				e := table[b&litMask]
				if e&entrySub != 0 {
					e = (&tables{lit: table}).longLit(e, b)
					l -= litBits
				}
				if want := litSymbol(sym) + uint32(l)<<8 + uint32(l); e != want {
					t.Fatalf("%d: symbol %d: entry %#x, want %#x", seed, sym, e, want)
				}
				l = int(lens[sym])
			}
		}
	}
}

// randomCode gives the lengths of a complete code of up to n symbols: leaves are split at random.
func randomCode(n int, seed uint64) []uint8 {
	r := sample(4*n, seed)
	leaves := []uint8{1, 1}
	for i := 0; len(leaves) < n && i+1 < len(r); i += 2 {
		k := (int(r[i])<<8 | int(r[i+1])) % len(leaves)
		if seed%3 == 0 {
			k = len(leaves) - 1 - k%min(len(leaves), 4) // long codes
		}
		if leaves[k] < maxCode {
			leaves[k]++
			leaves = append(leaves, leaves[k])
		}
	}
	for i, c := range sample(len(leaves), seed+1000) {
		k := int(c) % len(leaves)
		leaves[i], leaves[k] = leaves[k], leaves[i]
	}
	return leaves
}

// codes assigns the codes as RFC 1951, 3.2.2 says, bits reversed.
func codes(lens []uint8) []uint64 {
	out := make([]uint64, len(lens))
	code := uint64(0)
	for l := uint8(1); l <= maxCode; l++ {
		for sym, n := range lens {
			if n == l {
				out[sym] = bits.Reverse64(code) >> (64 - l)
				code++
			}
		}
		code <<= 1
	}
	return out
}
