package repack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	goruntime "runtime"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/oci-pipeline/oci/image"
)

// compress gives the compressor of a layer. Close ends the stream, not w. What comes out depends on the
// input alone, not on how it is cut into writes nor on the number of CPUs.
func compress(w io.Writer, c image.Compression, level int) (io.WriteCloser, error) {
	switch c {
	case image.Uncompressed:
		return uncompressed{w}, nil
	case image.Gzip:
		return newBlockGzip(w, level)
	case image.Zstd:
		if level == 0 {
			level = 3
		}
		if level < 1 || level > 22 {
			return nil, fmt.Errorf("%w: zstd has levels 1 to 22, not %d", ErrChange, level)
		}
		return zstd.NewWriter(w,
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithEncoderConcurrency(1)) // what several make depends on their number
	}
	return nil, fmt.Errorf("%w %q", image.ErrMediaType, c)
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

const (
	// gzipBlock is what is compressed at a time: large enough that the marks between (5 bytes) and the
	// cold start of each Huffman table cost nothing, small enough that every CPU gets some of a small layer.
	gzipBlock = 512 << 10
	// gzipWindow is how far back a match can reach (RFC 1951).
	gzipWindow = 32 << 10
)

// blockGzip writes one gzip member whose blocks are compressed side by side, each with the 32 KiB before it as
// its dictionary: any gunzip reads it, and it is hardly larger than what one compressor makes. Blocks are
// cut at fixed places, so that the result does not depend on how many are at work.
type blockGzip struct {
	w     io.Writer
	level int
	buf   []byte // the window and the block that is being filled
	start int    // of the block in buf
	crc   uint32
	size  uint32
	queue chan chan []byte // of blocks, in order, being compressed
	done  chan error       // the first error of the goroutine that writes
	fail  atomic.Bool      // there is one: what comes is not worth compressing
	idle  chan *flate.Writer
}

func newBlockGzip(w io.Writer, level int) (*blockGzip, error) {
	if level == 0 {
		level = 6
	}
	if level < 1 || level > 9 {
		return nil, fmt.Errorf("%w: gzip has levels 1 to 9, not %d", ErrChange, level)
	}
	jobs := goruntime.GOMAXPROCS(0)
	g := &blockGzip{
		w: w, level: level, buf: make([]byte, 0, gzipWindow+gzipBlock),
		queue: make(chan chan []byte, jobs), done: make(chan error, 1), idle: make(chan *flate.Writer, jobs+1),
	}
	go g.collect()
	return g, nil
}

// gzipHeader: deflate, no name, no time, unknown system, as Go's own writer has it.
var gzipHeader = [10]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// collect writes the blocks in their order.
func (g *blockGzip) collect() {
	_, err := g.w.Write(gzipHeader[:])
	for block := range g.queue {
		b := <-block
		if err == nil {
			_, err = g.w.Write(b)
		}
		if err != nil {
			g.fail.Store(true)
		}
	}
	g.done <- err
}

// errWriter ends the input early; Close gives the cause.
var errWriter = errors.New("the compressed layer cannot be written")

// Write implements io.Writer.
func (g *blockGzip) Write(p []byte) (int, error) {
	n := len(p)
	if g.fail.Load() {
		return 0, errWriter
	}
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(n)
	for len(p) > 0 {
		if len(g.buf)-g.start == gzipBlock {
			g.block(false)
		}
		m := min(len(p), gzipBlock-(len(g.buf)-g.start))
		g.buf = append(g.buf, p[:m]...)
		p = p[m:]
	}
	return n, nil
}

// block hands the block on to be compressed, and begins the next.
func (g *blockGzip) block(last bool) {
	out := make(chan []byte, 1)
	buf, start := g.buf, g.start
	g.queue <- out // waits while enough are at work
	go func() { out <- g.compress(buf[:start], buf[start:], last) }()
	if last {
		return
	}
	g.buf = make([]byte, 0, gzipWindow+gzipBlock)
	g.buf = append(g.buf, buf[max(0, len(buf)-gzipWindow):]...)
	g.start = len(g.buf)
}

// compress gives one block in raw deflate; all but the last end at a byte, without a final mark.
func (g *blockGzip) compress(window, data []byte, last bool) []byte {
	out := make(sliceWriter, 0, len(data)/2)
	var z *flate.Writer
	select {
	case z = <-g.idle:
		z.ResetDict(&out, window)
	default:
		z, _ = flate.NewWriterDict(&out, g.level, window) // the level was checked
	}
	_, _ = z.Write(data) // to memory
	if last {
		_ = z.Close()
	} else {
		_ = z.Flush()
	}
	select {
	case g.idle <- z:
	default:
	}
	return out
}

// sliceWriter is memory that is written to.
type sliceWriter []byte

func (s *sliceWriter) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// Close writes the last block and the sums.
func (g *blockGzip) Close() error {
	g.block(true)
	close(g.queue)
	if err := <-g.done; err != nil {
		return err
	}
	var tail [8]byte
	binary.LittleEndian.PutUint32(tail[:4], g.crc)
	binary.LittleEndian.PutUint32(tail[4:], g.size)
	_, err := g.w.Write(tail[:])
	return err
}
