package unpack

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// Sizes of the buffers between the stages of a layer: blob -> inflate -> hash -> files. Two MiB a
// layer keep both cores busy; more gained nothing when measured.
const (
	blobChunk   = 128 << 10
	blobChunks  = 4
	plainChunk  = 256 << 10
	plainChunks = 6
)

// errClosed is what a pump reports after Close; it never reaches a caller.
var errClosed = errors.New("pipeline closed")

type chunk struct {
	buf  []byte // full length of the buffer; nil until it is needed: most layers are small
	data []byte // the filled part
	err  error  // what the source returned after data
}

// pump reads a source ahead of its consumer in a goroutine of its own, through a fixed number of
// reused buffers; a second goroutine hashes the bytes on the way when asked. Read it to its
// end or to an error, and Close it in any case: Close waits for the goroutines.
type pump struct {
	free, full chan *chunk
	done       chan struct{}
	stop       sync.Once
	wg         sync.WaitGroup
	cur        *chunk
	err        error
}

// newPump starts reading r. If h is not nil it is given all bytes, and may be asked for its sum
// once Read has returned io.EOF. Whoever closes the pump must first make a blocked r.Read return.
func newPump(r io.Reader, h hash.Hash, chunks, size int) *pump {
	p := &pump{
		free: make(chan *chunk, chunks),
		full: make(chan *chunk, chunks),
		done: make(chan struct{}),
	}
	for range chunks {
		p.free <- &chunk{}
	}
	out := p.full
	if h != nil {
		out = make(chan *chunk, chunks)
		p.wg.Go(func() { p.hash(out, h) })
	}
	p.wg.Go(func() { p.fill(r, out, size) })
	return p
}

// fill is the reading goroutine. It ends after the first error, io.EOF included.
func (p *pump) fill(r io.Reader, out chan<- *chunk, size int) {
	defer close(out)
	for {
		var c *chunk
		select {
		case c = <-p.free:
		case <-p.done:
			return
		}
		if c.buf == nil {
			c.buf = make([]byte, size)
		}
		c.data, c.err = readChunk(r, c.buf)
		last := c.err != nil
		select {
		case out <- c:
		case <-p.done:
			return
		}
		if last {
			return
		}
	}
}

// readChunk fills buf as far as r gives bytes. A panic of a decoder on hostile input becomes an
// error: it must not end the process from a goroutine that nobody can guard.
func readChunk(r io.Reader, buf []byte) (data []byte, err error) {
	n := 0
	defer func() {
		if v := recover(); v != nil {
			data, err = buf[:0], fmt.Errorf("%w: decoder panic: %v", ErrCompression, v)
		}
	}()
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return buf[:n], err
}

// hash is the hashing goroutine, between fill and the consumer.
func (p *pump) hash(in <-chan *chunk, h hash.Hash) {
	defer close(p.full)
	for c := range in {
		h.Write(c.data)
		select {
		case p.full <- c:
		case <-p.done:
			return
		}
	}
}

// Read implements io.Reader.
func (p *pump) Read(b []byte) (int, error) {
	for p.cur == nil || len(p.cur.data) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.cur != nil {
			if p.err = p.cur.err; p.err != nil {
				return 0, p.err
			}
			p.free <- p.cur // never blocks: the channel has room for all chunks
			p.cur = nil
		}
		c, ok := <-p.full
		if !ok {
			p.err = errClosed
			return 0, p.err
		}
		p.cur = c
	}
	n := copy(b, p.cur.data)
	p.cur.data = p.cur.data[n:]
	return n, nil
}

// Close stops the goroutines and waits for them.
func (p *pump) Close() {
	p.stop.Do(func() { close(p.done) })
	p.wg.Wait()
}
