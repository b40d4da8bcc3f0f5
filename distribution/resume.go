package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// enoughProgress is how many bytes must come between two failures for the attempts to count anew.
// A registry that closes each connection after a few bytes does not keep us for ever.
const enoughProgress = 64 << 10

// maxLocalFailures bounds the answers that are wrong in themselves (a range nobody asked for)
// before the blob is given up.
const maxLocalFailures = 3

// Blob opens the blob d of the repository of ref at offset. The reader gives the bytes from there
// to the end; it goes on with another request (Range) where a connection breaks or stalls, and
// fails with image.ErrSizeMismatch if the registry has more or fewer bytes than d.Size. It does not
// prove the digest: the sink does, or an image.Verifier.
func (c *Client) Blob(ctx context.Context, ref reference.Ref, d ispec.Descriptor, offset int64) (io.ReadCloser, error) {
	b, err := c.blob(ctx, ref, d, offset, &validator{off: true}, nil)
	if err != nil {
		return nil, wrap("fetch blob", d.Digest.String(), err)
	}
	return b, nil
}

// blob is Blob; v knows of earlier answers, and failed hears of each failure that is tried again.
func (c *Client) blob(ctx context.Context, ref reference.Ref, d ispec.Descriptor, offset int64, v *validator, failed func(error)) (*blobBody, error) {
	list, err := c.places("fetch blob", ref)
	if err != nil {
		return nil, err
	}
	if err := image.ValidateDigest(d.Digest); err != nil {
		return nil, err
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("offset %d of %d: %w", offset, d.Size, image.ErrSizeMismatch)
	}
	b := &blobBody{
		ctx: ctx, c: c, next: withForeign(eligible(list, false), d), d: d, off: offset, mark: offset, valid: v, failed: failed,
	}
	if !b.advanceHost(nil) {
		return nil, fmt.Errorf("%w: no host has the capability pull", ErrProtocol)
	}
	if err := b.reopen(); err != nil {
		return nil, err
	}
	return b, nil
}

// blobBody reads a blob over as many requests as it takes.
type blobBody struct {
	ctx    context.Context //nolint:containedctx // the reader is one operation, from Blob to Close
	c      *Client
	at     endpoint
	next   []endpoint // to ask when at fails
	before []string   // what those that failed said
	d      ispec.Descriptor

	off, mark int64 // the next byte; where the attempts last counted anew
	body      io.ReadCloser
	tries     attempts
	wrong     int   // answers that were wrong in themselves
	noRange   bool  // the registry does not understand ranges: start over and skip
	wire      int64 // bytes read from the network, those skipped included
	pieces    int   // requests that gave bytes
	err       error // what Read gives from now on
	valid     *validator
	failed    func(error)
}

// Read implements io.Reader.
func (b *blobBody) Read(p []byte) (int, error) {
	for b.err == nil {
		if len(p) == 0 {
			return 0, nil
		}
		if b.off == b.d.Size {
			b.err = b.end()
			break
		}
		if b.body == nil {
			if b.err = b.reopen(); b.err != nil {
				break
			}
			continue
		}
		n, err := b.body.Read(p[:min(int64(len(p)), b.d.Size-b.off)])
		b.advance(n)
		if err != nil {
			b.close()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: the body ended at byte %d of %d", ErrNetwork, b.off, b.d.Size)
			}
			if b.off < b.d.Size {
				b.err = b.again(err)
			}
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// Close ends the transfer.
func (b *blobBody) Close() error {
	b.close()
	if b.err == nil {
		b.err = errors.New("read of a closed blob")
	}
	return nil
}

func (b *blobBody) close() {
	if b.body != nil {
		_ = b.body.Close() // what was read is proved by its digest
		b.body = nil
	}
}

func (b *blobBody) advance(n int) {
	b.off += int64(n)
	b.wire += int64(n)
	if b.off-b.mark >= enoughProgress {
		b.mark = b.off
		b.tries.reset()
	}
}

// end is called when all bytes are there: io.EOF, unless the registry has more.
func (b *blobBody) end() error {
	if b.body == nil {
		return io.EOF
	}
	defer b.close()
	var one [1]byte
	if n, _ := io.ReadFull(b.body, one[:]); n > 0 { // how it ends is of no interest: the bytes are here
		return sizeError(b.d, fmt.Sprintf("more than %d bytes", b.d.Size))
	}
	return io.EOF
}

func sizeError(d ispec.Descriptor, got string) error {
	return &Error{
		Op: "fetch blob", Subject: d.Digest.String(), Clause: spec.DescriptorSize,
		Err: fmt.Errorf("%w: the registry has %s, want %d", image.ErrSizeMismatch, got, d.Size),
	}
}

// again decides whether to go on after err, and waits. nil is to go on.
func (b *blobBody) again(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if err := b.c.pause(b.ctx, b.at.h, &b.tries, err); err != nil {
		if b.ctx.Err() != nil || !b.advanceHost(err) {
			return withMirrors(err, b.before)
		}
	}
	if b.failed != nil {
		b.failed(err)
	}
	return nil
}

// advanceHost turns to the next place that may have the blob, because of err; false if there is
// none. What is there already stays: the bytes are the same wherever they are.
func (b *blobBody) advanceHost(err error) bool {
	if len(b.next) == 0 {
		return false
	}
	if err != nil {
		b.c.failed(b.ctx, b.at.h, err)
		b.before = append(b.before, fmt.Sprintf("%s: %v", b.at.h.api, err))
	}
	for len(b.next) > 1 && b.next[0].h.resting() {
		b.next = b.next[1:]
	}
	b.at, b.next = b.next[0], b.next[1:]
	b.tries, b.wrong, b.noRange = attempts{Retry: b.at.h.retry}, 0, false
	return true
}

// reopen asks for the rest of the blob. What it gives has been tried as often as allowed.
func (b *blobBody) reopen() error {
	for b.body == nil && b.off < b.d.Size {
		err := b.at.h.pass(b.ctx)
		if err == nil {
			err = b.request()
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errCondition) { // which does not come again
			continue
		}
		if errors.Is(err, errRange) {
			// Not worth a wait: the same registry is asked in another way.
			if b.wrong++; b.wrong < maxLocalFailures {
				b.noRange = true
				continue
			}
			err = &Error{Op: "fetch blob", Subject: b.d.Digest.String(), Clause: spec.BlobRange, Err: err}
			if !b.advanceHost(err) {
				return err
			}
			continue
		}
		if b.expired(err) {
			continue
		}
		if err = b.again(err); err != nil {
			return err
		}
	}
	return nil
}

// expired tells whether a 403 may be that of a signed URL that has run out: asking the registry
// again gives a fresh one. A 403 at the start is no such thing.
func (b *blobBody) expired(err error) bool {
	var s *StatusError
	if b.off == 0 || !errors.As(err, &s) || s.Status != http.StatusForbidden || s.Host == b.at.h.api {
		return false
	}
	b.wrong++
	return b.wrong < maxLocalFailures
}

// errRange: the answer to a request for a range is not that range.
var errRange error = rangeError{}

type rangeError struct{}

func (rangeError) Error() string        { return "invalid answer of the registry: not the range asked for" }
func (rangeError) Is(target error) bool { return target == ErrProtocol }

// request makes one request and leaves a body that starts at b.off.
func (b *blobBody) request() error {
	r := request{
		method: http.MethodGet, path: b.at.path("blobs", b.d.Digest.String()),
		scopes: b.at.scopes(), repo: b.at.repo, header: http.Header{}, once: true,
		ok: []int{http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable},
	}
	if b.at.foreign != nil {
		if err := foreignURL(b.at.foreign, b.at.h); err != nil {
			return err
		}
		r.at, r.foreign = b.at.foreign, true
	}
	ranged, condition := b.off > 0 && !b.noRange, ""
	if ranged {
		if condition = b.valid.condition(b.at); condition != "" {
			r.header.Set("If-Range", condition)
		}
		r.header.Set("Range", fmt.Sprintf("bytes=%d-", b.off)) // one range: GHCR answers 501 to several
		r.ok = append(r.ok, http.StatusBadRequest, http.StatusNotImplemented)
	}
	resp, err := b.c.do(b.ctx, b.at.h, r)
	if err != nil {
		return err
	}
	if err = b.check(resp, ranged); err == nil {
		err = b.valid.check(b.at, resp, condition)
	}
	if err != nil {
		_ = resp.Body.Close()
		return err
	}
	if b.off > 0 && resp.StatusCode == http.StatusOK {
		n, err := io.CopyN(io.Discard, resp.Body, b.off)
		b.wire += n
		if err != nil {
			_ = resp.Body.Close()
			return unexpected(err)
		}
	}
	b.body = resp.Body
	b.pieces++
	return nil
}

// check proves that an answer is the blob, or the range of it, that was asked for.
func (b *blobBody) check(resp *http.Response, ranged bool) error {
	if d := digest.Digest(resp.Header.Get("Docker-Content-Digest")); d != "" && image.ValidateDigest(d) == nil &&
		d.Algorithm() == b.d.Digest.Algorithm() && d != b.d.Digest {
		return &Error{
			Op: "check Docker-Content-Digest", Subject: b.d.Digest.String(), Clause: spec.BlobDigest,
			Err: fmt.Errorf("%w: the registry says %s", image.ErrDigestMismatch, d),
		}
	}
	length := resp.ContentLength
	switch resp.StatusCode {
	case http.StatusOK:
		if length >= 0 && length != b.d.Size {
			return sizeError(b.d, fmt.Sprintf("%d bytes", length))
		}
		return nil
	case http.StatusPartialContent:
		first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
		switch {
		case !ranged || !ok || first != b.off || length >= 0 && length != last-first+1:
			return errRange
		case total >= 0 && total != b.d.Size:
			return sizeError(b.d, fmt.Sprintf("%d bytes", total))
		}
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		if _, _, total, _ := contentRange(resp.Header.Get("Content-Range")); total >= 0 && total <= b.off {
			return sizeError(b.d, fmt.Sprintf("%d bytes", total))
		}
	}
	return errRange // 416, 400, 501: ask without a range
}

// contentRange reads "bytes first-last/total" or "bytes */total" (RFC 9110 14.4); total is -1 if
// it is not said.
func contentRange(s string) (first, last, total int64, ok bool) {
	total = -1
	s, is := strings.CutPrefix(s, "bytes ")
	if !is {
		return 0, 0, total, false
	}
	span, size, is := strings.Cut(s, "/")
	if !is {
		return 0, 0, total, false
	}
	if size != "*" {
		n, err := strconv.ParseUint(size, 10, 63)
		if err != nil {
			return 0, 0, total, false
		}
		total = int64(n)
	}
	a, z, is := strings.Cut(span, "-")
	x, err1 := strconv.ParseUint(a, 10, 63)
	y, err2 := strconv.ParseUint(z, 10, 63)
	if !is || err1 != nil || err2 != nil || y < x {
		return 0, 0, total, false
	}
	return int64(x), int64(y), total, true
}
