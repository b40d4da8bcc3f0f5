package inflate

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Bits of the flags in a member's header (RFC 1952, 2.3.1).
const (
	flagHeaderCRC = 1 << (iota + 1)
	flagExtra
	flagName
	flagComment

	flagsReserved = 0xe0
)

// header reads the fixed part of a member's header.
func (r *Reader) header() error {
	b := r.in[r.pos:]
	if len(b) < 10 {
		return errShort
	}
	switch {
	case b[0] != 0x1f || b[1] != 0x8b:
		return r.fail("RFC 1952 2.3.1", ErrHeader)
	case b[2] != 8:
		return r.badHeader("compression method %d", b[2])
	case b[3]&flagsReserved != 0:
		return r.badHeader("reserved flags %#x", b[3]&flagsReserved)
	}
	r.flags = b[3]
	r.sum = 0
	r.skip(10)
	r.nextField()
	return nil
}

// nextField goes on to the next field that the flags announce.
func (r *Reader) nextField() {
	switch {
	case r.flags&flagExtra != 0:
		r.flags &^= flagExtra
		r.state = inExtraSize
	case r.flags&flagName != 0:
		r.flags &^= flagName
		r.state = inString
	case r.flags&flagComment != 0:
		r.flags &^= flagComment
		r.state = inString
	case r.flags&flagHeaderCRC != 0:
		r.flags &^= flagHeaderCRC
		r.state = inHeaderCRC
	default:
		r.sum, r.size = 0, 0
		r.base, r.told = r.w, r.w
		r.state = atBlock
	}
}

// skip takes n bytes of the header, whose sum may be asked for.
func (r *Reader) skip(n int) {
	r.sum = crc32.Update(r.sum, crc32.IEEETable, r.in[r.pos:r.pos+n])
	r.pos += n
}

func (r *Reader) extraSize() error {
	if len(r.in)-r.pos < 2 {
		return errShort
	}
	r.left = int(binary.LittleEndian.Uint16(r.in[r.pos:]))
	r.skip(2)
	r.state = inExtra
	return nil
}

func (r *Reader) extraField() error {
	n := min(r.left, len(r.in)-r.pos)
	r.skip(n)
	if r.left -= n; r.left > 0 {
		return errShort
	}
	r.nextField()
	return nil
}

// text skips a name or a comment. They are of any length, and nothing here wants them.
func (r *Reader) text() error {
	n := bytes.IndexByte(r.in[r.pos:], 0)
	if n < 0 {
		r.skip(len(r.in) - r.pos)
		return errShort
	}
	r.skip(n + 1)
	r.nextField()
	return nil
}

func (r *Reader) headerCRC() error {
	if len(r.in)-r.pos < 2 {
		return errShort
	}
	if want := binary.LittleEndian.Uint16(r.in[r.pos:]); want != uint16(r.sum) {
		return r.badHeader("its CRC-16 is %#04x, not %#04x", uint16(r.sum), want)
	}
	r.pos += 2
	r.nextField()
	return nil
}

// next tells what follows a member: another one, padding, or nothing.
func (r *Reader) next() error {
	b := r.in[r.pos:]
	switch {
	case len(b) >= 2 && b[0] == 0x1f && b[1] == 0x8b:
		r.state = atHeader
	case len(b) >= 2 || r.ended:
		r.state = inPadding
	default:
		return errShort
	}
	return nil
}

// padding reads the zeros to the end of the stream.
func (r *Reader) padding() error {
	for r.pos < len(r.in) {
		if r.in[r.pos] != 0 {
			return r.fail("", ErrGarbage)
		}
		r.pos++
	}
	if r.ended {
		return io.EOF
	}
	return errShort
}
