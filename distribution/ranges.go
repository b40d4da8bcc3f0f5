package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/reference"
)

const (
	// rangeMin is from what size on one blob is worth several connections.
	rangeMin = 64 << 20
	// rangeSize is a part, and what each connection keeps in memory.
	rangeSize = 4 << 20
	// rangeJobs is how many parts move at once.
	rangeJobs = 4
	// rangeFast is the rate in bytes a second at which one connection is as good as several: the first
	// part moves alone, and if it was as fast the rest follows over one. Ordered parts cost a copy,
	// and 13 % of the time of 1 GiB from a registry one hop away.
	rangeFast = 100 << 20
)

// dominant gives the blob that takes longer than all others together, so that they would be done
// long before it; the zero descriptor if there is none, or the blob is smaller than least.
func dominant(list []ispec.Descriptor, jobs int, least int64) ispec.Descriptor {
	var total int64
	for _, d := range list {
		total += d.Size
	}
	if len(list) == 0 || jobs < 2 || list[0].Size < least || list[0].Size < total-list[0].Size {
		return ispec.Descriptor{}
	}
	return list[0]
}

// open opens a blob at start: over several connections if it is worth it, else over one.
func (p *pull) open(ctx context.Context, d ispec.Descriptor, start int64, v *validator, retried func(error)) (transfer, error) {
	if p.large == d.Digest && d.Size-start >= p.c.rangeMin && p.ranged.CompareAndSwap(false, true) {
		list, err := p.c.endpoints("fetch blob", p.ref)
		if err != nil {
			return nil, err
		}
		// Beside us one connection is as fast as several, and costs less.
		if list = eligible(list, false); len(list) > 0 && !list[0].h.near() && !list[0].h.resting() {
			return newParts(ctx, p.c, p.ref, list[0], d, start, v, retried), nil
		}
	}
	b, err := p.c.blob(ctx, p.ref, d, start, v, retried)
	if err != nil {
		return nil, err // not a nil *blobBody in an interface that is not nil
	}
	return b, nil
}

// near tells whether the host is this machine.
func (h *host) near() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reach == loopback
}

// A transfer is the body of a blob, and what became of it.
type transfer interface {
	io.ReadCloser
	// result gives the bytes read from the network, how many answers they came from, the place of
	// the last and whether there are others.
	result() (wire int64, pieces int, at endpoint, more bool)
}

func (b *blobBody) result() (wire int64, pieces int, at endpoint, more bool) {
	return b.wire, b.pieces, b.at, len(b.next) > 0
}

// parts reads a blob as ranges that move at the same time, and gives its bytes in order. Where a
// part fails, for whatever reason, one connection goes on with the rest under the usual rules.
type parts struct {
	c       *Client
	ref     reference.Ref
	at      endpoint
	d       ispec.Descriptor
	outer   context.Context //nolint:containedctx // the reader is one operation, until Close
	ctx     context.Context //nolint:containedctx // of the parts
	cancel  context.CancelFunc
	work    sync.WaitGroup
	retried func(error)

	validMu sync.Mutex
	valid   *validator

	queue chan *part  // in order
	fast  bool        // one connection will do; written before queue is closed
	free  chan []byte // buffers
	wire  atomic.Int64
	count atomic.Int64

	off    int64     // of the next byte to give
	now    *part     // being given
	rest   []byte    // of it
	serial *blobBody // after a failure
}

type part struct {
	off  int64
	buf  []byte
	err  error
	done chan struct{}
}

func newParts(ctx context.Context, c *Client, ref reference.Ref, at endpoint, d ispec.Descriptor, start int64, v *validator, retried func(error)) *parts {
	p := &parts{
		outer: ctx, c: c, ref: ref, at: at, d: d, off: start, valid: v, retried: retried,
		queue: make(chan *part, rangeJobs-1), free: make(chan []byte, rangeJobs),
	}
	for range rangeJobs {
		p.free <- make([]byte, c.rangeSize)
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.work.Go(p.feed)
	return p
}

// feed starts a part whenever a buffer is free; the first one alone, and if that was fast no other.
func (p *parts) feed() {
	defer close(p.queue)
	begin, start := p.off, time.Now()
	for off := p.off; off < p.d.Size; off += int64(p.c.rangeSize) {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.ctx.Done():
			return
		}
		n := min(int64(p.c.rangeSize), p.d.Size-off)
		q := &part{off: off, buf: buf[:n], done: make(chan struct{})}
		p.work.Go(func() {
			defer close(q.done)
			q.err = p.fetch(q)
		})
		select {
		case p.queue <- q:
		case <-p.ctx.Done():
			return
		}
		if off > begin {
			continue
		}
		<-q.done
		if p.fast = q.err == nil && float64(n) >= time.Since(start).Seconds()*float64(p.c.rangeFast); p.fast {
			return
		}
	}
}

// fetch fills one part, or fails at once.
func (p *parts) fetch(q *part) error {
	last := q.off + int64(len(q.buf)) - 1
	resp, err := p.c.do(p.ctx, p.at.h, request{
		method: http.MethodGet, path: p.at.path("blobs", p.d.Digest.String()),
		scopes: pullScope(p.at.repo), repo: p.at.repo, once: true,
		header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", q.off, last)}},
		ok:     []int{http.StatusPartialContent, http.StatusOK}, // 200 has no Content-Range
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // its bytes are here, or it is given up
	first, end, total, ok := contentRange(resp.Header.Get("Content-Range"))
	if !ok || first != q.off || end != last || total >= 0 && total != p.d.Size {
		return errRange
	}
	if err := p.check(resp); err != nil {
		return err
	}
	n, err := io.ReadFull(resp.Body, q.buf)
	p.wire.Add(int64(n))
	p.count.Add(1)
	if err != nil {
		return fmt.Errorf("%w: a part ended early", ErrNetwork)
	}
	return nil
}

// check compares the ETags of the parts with each other and with that of an earlier process.
func (p *parts) check(resp *http.Response) error {
	p.validMu.Lock()
	defer p.validMu.Unlock()
	return p.valid.check(p.at, resp, "")
}

// Read implements io.Reader.
func (p *parts) Read(b []byte) (int, error) {
	for p.serial == nil && len(p.rest) == 0 {
		if p.now != nil {
			p.free <- p.now.buf[:cap(p.now.buf)] // as many buffers as places: it never blocks
			p.now = nil
		}
		q, ok := <-p.queue
		if !ok && p.off == p.d.Size {
			return 0, io.EOF
		}
		var err error
		switch {
		case ok:
			<-q.done
			err = q.err
		case p.fast:
			err = errFast
		default:
			err = context.Cause(p.ctx)
		}
		if err == nil {
			p.now, p.rest = q, q.buf
			continue
		}
		if err := p.alone(err); err != nil {
			return 0, err
		}
	}
	if p.serial != nil {
		return p.serial.Read(b)
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	p.off += int64(n)
	return n, nil
}

// errFast: the rest is left to one connection.
var errFast = errors.New("one connection is fast enough")

// alone goes on with one connection, because of err.
func (p *parts) alone(err error) error {
	p.cancel()
	p.work.Wait()
	if p.outer.Err() != nil {
		return context.Cause(p.outer)
	}
	if errors.Is(err, errChanged) {
		return err
	}
	if p.retried != nil && !errors.Is(err, errRange) && !errors.Is(err, errFast) {
		p.retried(err)
	}
	body, err := p.c.blob(p.outer, p.ref, p.d, p.off, p.valid, p.retried)
	if err != nil {
		return err
	}
	p.serial = body
	return nil
}

// Close ends the transfer and waits for its parts.
func (p *parts) Close() error {
	p.cancel()
	p.work.Wait()
	if p.serial != nil {
		return p.serial.Close()
	}
	return nil
}

func (p *parts) result() (wire int64, pieces int, at endpoint, more bool) {
	wire, pieces, at = p.wire.Load(), int(p.count.Load()), p.at
	if p.serial != nil {
		w, n, last, m := p.serial.result()
		return wire + w, pieces + n, last, m
	}
	return wire, pieces, at, at.h.mirror
}
