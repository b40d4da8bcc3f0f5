package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// fallbackChunk is the size of chunks when the registry refused a whole blob; proxies allow 100 MiB
// at most by default, nginx 1 MiB.
const fallbackChunk = 1 << 20

// maxChunkMinimum bounds the smallest chunk that a registry may ask for.
const maxChunkMinimum = 1 << 30

// upload is one blob on its way to the registry.
type upload struct {
	p     *push
	d     ispec.Descriptor
	at    *url.URL // the session; nil before it is open
	chunk int64    // size of chunks
	// resumed tells that the session was gone on with after a break.
	resumed bool
}

// start opens a session, or mounts the blob from another repository; mounted tells that it is there. A
// mount is a try: where it is refused, for want of a right to the other repository or of mounts at all,
// the blob is sent.
func (u *upload) start(ctx context.Context) (mounted bool, err error) {
	from := u.p.mountFrom(u.d.Digest)
	mounted, err = u.post(ctx, from)
	var s *StatusError
	if from != "" && errors.As(err, &s) && s.Refused() {
		return u.post(ctx, "")
	}
	return mounted, err
}

// post is one try of start.
func (u *upload) post(ctx context.Context, from string) (mounted bool, err error) {
	q := url.Values{}
	if from != "" {
		q.Set("mount", u.d.Digest.String())
		q.Set("from", from)
	}
	if a := u.d.Digest.Algorithm(); a != digest.Canonical {
		q.Set("digest-algorithm", a.String())
	}
	path := u.p.path("blobs", "uploads/")
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodPost, path: path, scopes: u.p.scopes(), repo: u.p.ref.Repository,
		body: empty, ok: []int{http.StatusAccepted, http.StatusCreated},
	})
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		if from == "" {
			return false, fmt.Errorf("%w: 201 to the start of an upload", ErrProtocol)
		}
		return true, u.stored(resp, spec.PushMount)
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Oci-Chunk-Min-Length"), 10, 64); err == nil && n > 0 && n <= maxChunkMinimum {
		u.chunk = max(u.chunk, n)
	}
	if u.at, err = u.p.c.location(u.p.h, resp); err != nil {
		return false, err
	}
	u.save(0)
	return false, nil
}

func empty() (io.ReadCloser, error) { return http.NoBody, nil }

// stored proves that the registry says it stored the blob that was sent.
func (u *upload) stored(resp *http.Response, c spec.Clause) error {
	got := digest.Digest(resp.Header.Get("Docker-Content-Digest"))
	if got == "" || got == u.d.Digest || image.ValidateDigest(got) != nil || got.Algorithm() != u.d.Digest.Algorithm() {
		return nil
	}
	return &Error{Op: "push blob", Subject: u.d.Digest.String(), Clause: c, Err: fmt.Errorf("%w: the registry stored %s", image.ErrDigestMismatch, got)}
}

// withDigest gives the session's location with the digest that closes it.
func (u *upload) withDigest() *url.URL {
	at := *u.at
	q := "digest=" + url.QueryEscape(u.d.Digest.String())
	if at.RawQuery != "" {
		q = at.RawQuery + "&" + q // what is there may be critical and is kept to the byte
	}
	at.RawQuery = q
	return &at
}

// body opens the source at offset off and gives n bytes of it. The source is proved as far as it is
// read from its start; the registry proves the whole.
func (u *upload) body(ctx context.Context, off, n int64, report bool) (io.ReadCloser, error) {
	r, err := u.p.src.Open(ctx, u.d)
	if err != nil {
		return nil, err
	}
	if off > 0 {
		if s, ok := r.(io.Seeker); ok {
			_, err = s.Seek(off, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, off)
		}
		if err != nil {
			_ = r.Close()
			return nil, fmt.Errorf("read %s at %d: %w", u.d.Digest, off, unexpected(err))
		}
	}
	b := &sentBody{r: io.LimitReader(r, n), c: r}
	if report {
		b.told = func(at int64) { u.p.emit(image.EventProgress, u.d, off+at, nil) }
	}
	return b, nil
}

// chunked sends the blob in PATCHes. After a break it asks the registry how far it came, and goes
// on from there. A registry that then does not take what it said it wants gets the whole once more.
func (u *upload) chunked(ctx context.Context) error {
	u.chunk = max(u.chunk, u.p.o.ChunkSize)
	if u.chunk == 0 {
		u.chunk = fallbackChunk
	}
	for again := true; ; again = false {
		mounted, err := u.start(ctx)
		if err != nil || mounted {
			return err
		}
		err = u.rest(ctx, 0)
		if err == nil {
			return nil
		}
		broken := u.resumed && !errors.Is(err, image.ErrDigestMismatch) && ctx.Err() == nil && !errors.Is(err, ErrServer)
		u.cancel(ctx)
		if !again || !broken {
			return err
		}
	}
}

// rest sends the blob from off on, in the open session, and closes that.
func (u *upload) rest(ctx context.Context, off int64) error {
	tries := attempts{Retry: u.p.c.o.Retry}
	for off < u.d.Size {
		next, err := u.patch(ctx, off)
		if err == nil {
			off = next
			tries.reset()
			u.p.emit(image.EventProgress, u.d, off, nil)
			u.save(off)
			continue
		}
		if !resumable(err) || ctx.Err() != nil {
			return err
		}
		if err := u.p.c.pause(ctx, u.p.h, &tries, asNetwork(err)); err != nil {
			return err
		}
		u.resumed = true
		if turnedAway(err) && tries.n%2 == 0 {
			continue // see maxTimesSent; Content-Range keeps the chunk from being taken twice
		}
		if off, err = u.status(ctx, off); err != nil {
			return err
		}
	}
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodPut, at: u.withDigest(), scopes: u.p.scopes(), repo: u.p.ref.Repository,
		body: empty, ok: []int{http.StatusCreated},
	})
	if err != nil {
		if u.there(ctx, !sessionLost(err)) {
			return nil // it was closed by a request whose answer did not come back
		}
		return err
	}
	_ = resp.Body.Close()
	return u.stored(resp, spec.PushChunked)
}

// resumable tells whether a failed chunk leaves a session to go on with.
func resumable(err error) bool {
	var s *StatusError
	if errors.As(err, &s) && s.Status == http.StatusRequestedRangeNotSatisfiable {
		return true
	}
	return retryable(err)
}

// asNetwork makes a 416 something to try again, which it is for uploads only.
func asNetwork(err error) error {
	if retryable(err) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrNetwork, err) // not wrapped: its status says not to try again
}

// patch sends the chunk at off and gives where the next one starts.
func (u *upload) patch(ctx context.Context, off int64) (int64, error) {
	n := min(u.chunk, u.d.Size-off)
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodPatch, at: u.at, scopes: u.p.scopes(), repo: u.p.ref.Repository,
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", off, off+n-1)},
		},
		body:   func() (io.ReadCloser, error) { return u.body(ctx, off, n, false) },
		length: n, ok: []int{http.StatusAccepted, http.StatusNoContent}, once: true,
	})
	if err != nil {
		return off, err
	}
	_ = resp.Body.Close()
	if u.at, err = u.p.c.location(u.p.h, resp); err != nil {
		return off, err
	}
	if end, ok := uploadRange(resp.Header.Get("Range")); ok && end+1 != off+n {
		return off, &Error{
			Op: "push blob", Subject: u.d.Digest.String(), Clause: spec.PushContentRange,
			Err: fmt.Errorf("%w: the registry has %d bytes, sent were %d", ErrProtocol, end+1, off+n),
		}
	}
	return off + n, nil
}

// status asks how many bytes of the session the registry has. off is what it has been sent in full.
func (u *upload) status(ctx context.Context, off int64) (int64, error) {
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodGet, at: u.at, scopes: u.p.scopes(), repo: u.p.ref.Repository,
		ok: []int{http.StatusNoContent},
	})
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	end, ok := uploadRange(resp.Header.Get("Range"))
	if ok && end == 0 && off > 1 {
		// docker-registry 2 says this of every session, and leads to one that begins anew. What it took
		// in full it can go on with where it led before.
		return off, nil
	}
	if resp.Header.Get("Location") != "" {
		if u.at, err = u.p.c.location(u.p.h, resp); err != nil {
			return 0, err
		}
	}
	switch {
	case !ok || end == 0 && off == 0: // "0-0" is also what an empty session answers
		return 0, nil
	case end >= u.d.Size:
		return 0, &Error{
			Op: "go on with upload", Subject: u.d.Digest.String(), Clause: spec.PushResume,
			Err: fmt.Errorf("%w: the registry has %d bytes of %d", ErrProtocol, end+1, u.d.Size),
		}
	}
	return end + 1, nil
}

// cancel ends a session that is given up. Whether it works is of no interest (DC-29). One that a later
// process is to go on with stays open, if it was the network or the user that ended this one.
func (u *upload) cancel(ctx context.Context) {
	if u.at == nil {
		return
	}
	if u.remembered() && ctx.Err() != nil {
		return
	}
	u.forget()
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodDelete, at: u.at, scopes: u.p.scopes(), repo: u.p.ref.Repository,
		ok: []int{http.StatusNoContent, http.StatusAccepted, http.StatusOK}, once: true,
	})
	if err == nil {
		_ = resp.Body.Close()
	}
	u.at = nil
}

// uploadRange reads the Range of a session, "0-<last byte>".
func uploadRange(s string) (end int64, ok bool) {
	a, z, is := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	n, err := strconv.ParseUint(z, 10, 62)
	return int64(n), is && a == "0" && err == nil
}

// sentBody counts what is sent of a body.
type sentBody struct {
	r    io.Reader
	c    io.Closer
	at   int64
	last int64
	told func(at int64)
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.at += int64(n)
	if b.told != nil && b.at-b.last >= progressStep {
		b.last = b.at
		b.told(b.at)
	}
	return n, err
}

func (b *sentBody) Close() error { return b.c.Close() }
