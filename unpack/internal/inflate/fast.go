package inflate

import "encoding/binary"

// fastGo decodes symbols while there is plenty of input and room. It stops at a symbol that is an
// end or a fault, and leaves it to the slow loop. Up to two literals are followed by whatever comes
// third; the 56 bits that each round starts with do for them (22) and a length (20). The next entry
// is looked up before a match is copied, since that need not wait for it.
func (c *core) fastGo() event {
	in, out, t := c.in, c.out, c.tables
	pos, w, b, have := c.pos, c.w, c.bits, c.have
	if pos > len(in)-inSlack || w >= c.limit {
		return atEdge
	}
	why := atEdge
	pos, b, have = refill(in, pos, b, have)
	e := t.lit[b&litMask]
	for pos <= len(in)-inSlack && w < c.limit {
		if int32(e) < 0 {
			out[w] = byte(e >> 16)
			w, b, have = w+1, b>>(e&63), have-uint64(e&63)
			e = t.lit[b&litMask]
			if int32(e) < 0 {
				out[w] = byte(e >> 16)
				w, b, have = w+1, b>>(e&63), have-uint64(e&63)
				e = t.lit[b&litMask]
			}
		}
		if e&entryOther != 0 {
			if e = t.longLit(e, b); e&entryOther != 0 {
				break
			}
			b, have = b>>litBits, have-litBits
		}
		if int32(e) < 0 {
			out[w] = byte(e >> 16)
			w, b, have = w+1, b>>(e&63), have-uint64(e&63)
			e = t.lit[b&litMask]
			pos, b, have = refill(in, pos, b, have)
			continue
		}
		length := int(e>>16) + extra(b, e)
		b, have = b>>(e&63), have-uint64(e&63)
		if have < 28+litBits { // a distance and the next entry
			pos, b, have = refill(in, pos, b, have)
		}
		if e = t.dist[b&distMask]; e&entryOther != 0 {
			if e = t.longDist(e, b); e&entryOther != 0 {
				why = badCode
				break
			}
			b, have = b>>distBits, have-distBits
		}
		dist := int(e>>16) + extra(b, e)
		b, have = b>>(e&63), have-uint64(e&63)
		if w-dist < c.base {
			why = badDist
			break
		}
		e = t.lit[b&litMask]
		pos, b, have = refill(in, pos, b, have)
		copyMatch(out[w-dist:w+length+32], dist, length)
		w += length
	}
	c.pos, c.w, c.have = pos, w, have
	c.bits = b & (1<<have - 1)
	return why
}

// refill makes the bits 56 to 63. It loads 8 bytes and takes those that fit whole; of the next one
// some bits may be there too, above the count, and come again with the next refill.
func refill(in []byte, pos int, b, have uint64) (int, uint64, uint64) {
	b |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
	return pos + int(63-have)>>3, b, have | 56
}

// longLit gives the entry that b has in the subtable to which e leads; entryOther if e leads to none.
func (t *tables) longLit(e uint32, b uint64) uint32 {
	if e&entrySub == 0 {
		return entryOther
	}
	i := e>>16 + uint32(b>>litBits)&(1<<(e>>8&15)-1)
	return t.lit[1<<litBits+i&(litSubs-1)]
}

// longDist does the same for a distance.
func (t *tables) longDist(e uint32, b uint64) uint32 {
	if e&entrySub == 0 {
		return entryOther
	}
	i := e>>16 + uint32(b>>distBits)&(1<<(e>>8&15)-1)
	return t.dist[1<<distBits+i&(distSubs-1)]
}

// copyMatch repeats n bytes from dist before: b[:n] goes to b[dist:], byte by byte as far as the
// result can tell. What lies behind them in b is overwritten.
func copyMatch(b []byte, dist, n int) {
	le := binary.LittleEndian
	if dist < 8 {
		copyNear(b, dist, n)
		return
	}
	from, to := b[:32], b[dist:dist+32]
	le.PutUint64(to, le.Uint64(from))
	le.PutUint64(to[8:], le.Uint64(from[8:])) // only now: it may be what was stored
	le.PutUint64(to[16:], le.Uint64(from[16:]))
	le.PutUint64(to[24:], le.Uint64(from[24:]))
	if n > 32 && dist >= n {
		copy(b[dist+32:dist+n], b[32:n])
		return
	}
	for i := 32; i < n; i += 8 {
		le.PutUint64(b[dist+i:], le.Uint64(b[i:]))
	}
}

// copyNear is copyMatch where the bytes copied soon are bytes that were just written.
func copyNear(b []byte, dist, n int) {
	if dist == 1 {
		v := uint64(b[0]) * 0x0101010101010101
		for i := 1; i <= n; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], v)
		}
		return
	}
	for i := range n {
		b[dist+i] = b[i]
	}
}
