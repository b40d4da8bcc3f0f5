package inflate

import "encoding/binary"

// codeOrder is the order in which a dynamic block stores the lengths of the code lengths' code.
const codeOrder = "\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"

// block reads the header of a block (RFC 1951, 3.2.3). As every step, it either does all it has to
// or, if the input that is there ends before that, changes nothing.
func (r *Reader) block() error {
	bits, have, pos := r.bits, r.have, r.pos
	err := r.blockHeader()
	if err == errShort {
		r.bits, r.have, r.pos = bits, have, pos // nothing moved within in
	}
	return err
}

func (r *Reader) blockHeader() error {
	if !r.need(3) {
		return errShort
	}
	r.final = r.pop(1) == 1
	switch r.pop(2) {
	case 0:
		return r.storedHeader()
	case 1:
		return r.fixedHeader()
	case 2:
		return r.dynamicHeader()
	}
	return r.corrupt("3.2.3", "block of the reserved type")
}

// storedHeader reads the length of a stored block and its complement (3.2.4).
func (r *Reader) storedHeader() error {
	r.pop(r.have & 7)
	if !r.need(32) {
		return errShort
	}
	n := uint32(r.pop(32))
	if uint16(n) != ^uint16(n>>16) {
		return r.corrupt("3.2.4", "the length of a stored block and its complement do not match")
	}
	r.whole()
	r.left = int(n & 0xffff)
	r.state = inStored
	return nil
}

// stored copies what is there of a stored block.
func (r *Reader) stored() error {
	n := min(r.left, r.limit-r.w, len(r.in)-r.pos)
	copy(r.out[r.w:r.w+n], r.in[r.pos:])
	r.w, r.pos, r.left = r.w+n, r.pos+n, r.left-n
	switch {
	case r.left == 0:
		r.endBlock()
	case r.w < r.limit:
		return errShort
	}
	return nil
}

// fixedHeader sets the codes of 3.2.6.
func (r *Reader) fixedHeader() error {
	if r.fixed == nil {
		var lens [numLit + numDist]uint8
		for i := range lens {
			switch {
			case i < 144:
				lens[i] = 8
			case i < 256:
				lens[i] = 9
			case i < 280:
				lens[i] = 7
			case i < numLit:
				lens[i] = 8
			default:
				lens[i] = 5
			}
		}
		r.fixed = new(tables)
		r.codes.build(r.fixed.lit[:], litBits, lens[:numLit], litSymbol)
		r.codes.build(r.fixed.dist[:], distBits, lens[numLit:], distSymbol)
	}
	r.tables = r.fixed
	r.state = inSymbols
	return nil
}

// dynamicHeader reads the codes of a block that brings its own (3.2.7).
func (r *Reader) dynamicHeader() error {
	if !r.need(14) {
		return errShort
	}
	lits, dists, codes := int(r.pop(5))+257, int(r.pop(5))+1, int(r.pop(4))+4
	if lits > 286 || dists > 30 {
		return r.corrupt("3.2.7", "more codes than there are symbols")
	}
	var order [numCode]uint8
	for i := range codes {
		if !r.need(3) {
			return errShort
		}
		order[codeOrder[i]] = uint8(r.pop(3))
	}
	var table codeTable
	if !r.codes.build(table[:], codeBits, order[:], codeSymbol) {
		return r.corrupt("3.2.7", "the code lengths' code is not complete")
	}
	var lens [286 + 30]uint8
	if err := r.lengths(&table, lens[:lits+dists]); err != nil {
		return err
	}
	if r.dynamic == nil {
		r.dynamic = new(tables)
	}
	if !r.codes.build(r.dynamic.lit[:], litBits, lens[:lits], litSymbol) {
		return r.corrupt("3.2.7", "the literal code is not complete")
	}
	if !r.codes.build(r.dynamic.dist[:], distBits, lens[lits:lits+dists], distSymbol) {
		return r.corrupt("3.2.7", "the distance code is not complete")
	}
	r.tables = r.dynamic
	r.state = inSymbols
	return nil
}

// lengths reads the lengths of the literal and the distance codes, which run into each other.
func (r *Reader) lengths(table *codeTable, lens []uint8) error {
	for i := 0; i < len(lens); {
		r.need(codeBits + 7)
		e := table[r.bits&(1<<codeBits-1)]
		n := uint64(e & 0x3f)
		if n > r.have {
			return errShort
		}
		if e&entryOther != 0 {
			return r.corrupt("3.2.7", "code length without a code")
		}
		r.pop(n)
		sym := uint8(e >> 16)
		if sym < 16 {
			lens[i] = sym
			i++
			continue
		}
		repeat, base, value := uint64(2), 3, uint8(0)
		switch {
		case sym == 17:
			repeat = 3
		case sym == 18:
			repeat, base = 7, 11
		case i == 0:
			return r.corrupt("3.2.7", "repeats the code length before the first")
		default:
			value = lens[i-1]
		}
		if !r.need(repeat) {
			return errShort
		}
		end := i + base + int(r.pop(repeat))
		if end > len(lens) {
			return r.corrupt("3.2.7", "more code lengths than codes")
		}
		for ; i < end; i++ {
			lens[i] = value
		}
	}
	return nil
}

// symbols decodes symbols until the block, the room, or the input that is there ends.
func (r *Reader) symbols() error {
	for r.w < r.limit {
		why := r.fast(&r.core)
		if why == atEdge && r.w < r.limit {
			why = r.symbol()
		}
		switch why {
		case atEdge:
		case atEnd:
			r.endBlock()
			return nil
		case atShort:
			return errShort
		case badDist:
			return r.corrupt("3.2.5", "a match reaches back before the start of the data")
		default:
			return r.corrupt("3.2.2", "bits that are no code")
		}
	}
	return nil
}

// endBlock goes on to the next block, or to what follows the last one.
func (r *Reader) endBlock() {
	r.state = atBlock
	if r.final {
		r.whole()
		r.bits, r.have = 0, 0
		r.state = atTrailer
	}
}

// trailer compares what follows the last block with what was decoded (RFC 1952, 2.3.1).
func (r *Reader) trailer() error {
	if len(r.in)-r.pos < 8 {
		return errShort
	}
	r.tally()
	want := binary.LittleEndian.Uint64(r.in[r.pos:])
	if uint32(want) != r.sum {
		return r.fail("RFC 1952 2.3.1", ErrChecksum)
	}
	if uint32(want>>32) != r.size {
		return r.fail("RFC 1952 2.3.1", ErrSize)
	}
	r.pos += 8
	r.state = atNext
	return nil
}
