package inflate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Sizes of the buffers. Output beyond the history is decoded in pieces of outChunk: with the
// tables and the input it fits the second-level cache of a small core. A Reader starts with less,
// since to clear the buffers would take longer than to decode a stream of a few hundred bytes.
const (
	inChunk  = 64 << 10
	outChunk = 128 << 10
	history  = 32 << 10

	inFirst  = 4 << 10
	outFirst = 12 << 10

	// emptyReads is how often in a row a source may give nothing without an error.
	emptyReads = 100
)

// errShort is what a step says if it cannot go on with the input that is there.
var errShort = errors.New("inflate: short input")

// state is what comes next in the stream.
type state uint8

const (
	atHeader state = iota
	inExtraSize
	inExtra
	inString
	inHeaderCRC
	atBlock
	inStored
	inSymbols
	atTrailer
	atNext
	inPadding
)

// A Reader gives the bytes of all members of a gzip stream. It is for one goroutine and starts
// none.
type Reader struct {
	core
	src    io.Reader
	srcErr error // what src returned; in may still hold bytes
	ended  bool  // srcErr is io.EOF
	taken  int64 // bytes read from src

	state state
	flags byte // of the member's header, those still to come
	final bool // the block is the member's last
	left  int  // bytes to come of the stored block or the extra field
	err   error

	given int    // out[:given] was given to the caller
	told  int    // out[:told] is in sum and size
	sum   uint32 // CRC-32 of the member's data, or of its header before that
	size  uint32

	buf            []byte // in is the start of it
	inMax, outMax  int    // how large buf and out, but for outSlack, may become
	fixed, dynamic *tables
	codes          canonical
}

// NewReader gives a Reader of src. It reads nothing yet.
func NewReader(src io.Reader) *Reader {
	return newReader(src, inFirst, outFirst, inChunk, history+outChunk)
}

// newReader makes a Reader whose buffers start with room for in and out bytes and grow once, to
// inMax and outMax. The longest block header, of 561 bytes, must fit in.
func newReader(src io.Reader, in, out, inMax, outMax int) *Reader {
	r := &Reader{buf: make([]byte, in), inMax: inMax, outMax: outMax}
	r.out = make([]byte, out+outSlack)
	r.fast = fastest()
	r.Reset(src)
	return r
}

// Reset makes r what NewReader(src) gives, with the memory it has.
func (r *Reader) Reset(src io.Reader) {
	*r = Reader{
		core:    core{in: r.buf[:0], out: r.out, limit: len(r.out) - outSlack, fast: r.fast},
		src:     src,
		buf:     r.buf,
		inMax:   r.inMax,
		outMax:  r.outMax,
		fixed:   r.fixed,
		dynamic: r.dynamic,
	}
}

// Read implements io.Reader. It gives what is decoded before it reads more from the source. At
// io.EOF the source was read to its end, and all was as it should be.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.pending()
	if len(b) == 0 {
		return 0, err
	}
	n := copy(p, b)
	r.given += n
	return n, nil
}

// WriteTo implements io.WriterTo: each Write is given a piece of the window, without a copy.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := r.pending()
		if len(b) == 0 {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(b)
		total += int64(n)
		r.given += n
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// pending gives the decoded bytes that the caller has not got, at least one of them or an error.
func (r *Reader) pending() ([]byte, error) {
	for r.given == r.w && r.err == nil {
		if r.w >= r.limit {
			r.makeRoom()
		}
		r.err = r.decode()
		r.tally()
	}
	if r.given < r.w {
		return r.out[r.given:r.w], nil
	}
	return nil, r.err
}

// decode goes through the stream until there are bytes for the caller and either no more room, or
// no more without asking the source.
func (r *Reader) decode() error {
	for r.w < r.limit {
		err := r.step()
		if err == errShort {
			if r.given < r.w {
				return nil
			}
			err = r.fill()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) step() error {
	switch r.state {
	case atHeader:
		return r.header()
	case inExtraSize:
		return r.extraSize()
	case inExtra:
		return r.extraField()
	case inString:
		return r.text()
	case inHeaderCRC:
		return r.headerCRC()
	case atBlock:
		return r.block()
	case inStored:
		return r.stored()
	case inSymbols:
		return r.symbols()
	case atTrailer:
		return r.trailer()
	case atNext:
		return r.next()
	default:
		return r.padding()
	}
}

// fill reads more input, behind what is not used yet.
func (r *Reader) fill() error {
	if r.srcErr != nil {
		if r.ended {
			return io.ErrUnexpectedEOF
		}
		return r.srcErr
	}
	r.whole()
	if len(r.in) == len(r.buf) && len(r.buf) < r.inMax {
		r.buf = make([]byte, r.inMax) // the source had more than there was room for
	}
	n := copy(r.buf, r.in[r.pos:])
	r.in, r.pos = r.buf[:n], 0
	for range emptyReads {
		m, err := r.src.Read(r.buf[n:])
		if m < 0 || m > len(r.buf)-n {
			return errors.New("inflate: the source gave an impossible count")
		}
		r.in = r.buf[:n+m]
		r.taken += int64(m)
		if err != nil {
			r.srcErr, r.ended = err, err == io.EOF
		}
		if m > 0 || err != nil {
			return nil
		}
	}
	return io.ErrNoProgress
}

// makeRoom enlarges the window or, once it is as large as it gets, slides it and keeps the history.
func (r *Reader) makeRoom() {
	if r.limit < r.outMax {
		out := make([]byte, r.outMax+outSlack)
		copy(out, r.out[:r.w])
		r.out, r.limit = out, r.outMax
		return
	}
	n := r.w - history
	copy(r.out, r.out[n:r.w])
	r.w, r.given, r.told = history, history, history
	r.base = max(r.base-n, 0)
}

// tally adds what was decoded since to the sum and the size of the member.
func (r *Reader) tally() {
	if r.state < atBlock || r.state > atTrailer {
		return
	}
	b := r.out[r.told:r.w]
	r.sum = crc32.Update(r.sum, crc32.IEEETable, b)
	r.size += uint32(len(b))
	r.told = r.w
}

// fail names what is wrong at the place that was reached.
func (r *Reader) fail(clause string, err error) error {
	return &Error{Offset: r.taken - int64(len(r.in)-r.pos) - int64(r.have>>3), Clause: clause, Err: err}
}

func (r *Reader) corrupt(section, why string) error {
	return r.fail("RFC 1951 "+section, fmt.Errorf("%w: %s", ErrCorrupt, why))
}

// badHeader is a member's header with something wrong behind the magic number.
func (r *Reader) badHeader(why string, args ...any) error {
	return r.fail("RFC 1952 2.3.1", fmt.Errorf("%w: "+why, append([]any{ErrHeader}, args...)...))
}
