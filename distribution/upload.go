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
}

// start opens a session, or mounts the blob from another repository; mounted tells that it is there.
func (u *upload) start(ctx context.Context) (mounted bool, err error) {
	q := url.Values{}
	if u.p.o.MountFrom != "" {
		q.Set("mount", u.d.Digest.String())
		q.Set("from", u.p.o.MountFrom)
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
		if u.p.o.MountFrom == "" {
			return false, fmt.Errorf("%w: 201 to the start of an upload", ErrProtocol)
		}
		return true, u.stored(resp, spec.PushMount)
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Oci-Chunk-Min-Length"), 10, 64); err == nil && n > 0 && n <= maxChunkMinimum {
		u.chunk = max(u.chunk, n)
	}
	u.at, err = u.p.c.location(u.p.h, resp)
	return false, err
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

// whole sends the blob in one PUT. A try that failed starts over with a session of its own.
func (u *upload) whole(ctx context.Context) error {
	return u.p.c.retry(ctx, u.p.h, func() error {
		mounted, err := u.start(ctx)
		if err != nil || mounted {
			return err
		}
		resp, err := u.p.c.do(ctx, u.p.h, request{
			method: http.MethodPut, at: u.withDigest(), scopes: u.p.scopes(), repo: u.p.ref.Repository,
			header: http.Header{"Content-Type": {"application/octet-stream"}},
			body:   func() (io.ReadCloser, error) { return u.body(ctx, 0, u.d.Size, true) },
			length: u.d.Size, ok: []int{http.StatusCreated}, once: true,
		})
		if err != nil {
			u.cancel(ctx)
			return err
		}
		_ = resp.Body.Close()
		return u.stored(resp, spec.PushMonolithic)
	})
}

// chunked sends the blob in PATCHes. After a break it asks the registry how far it came, and goes
// on from there.
func (u *upload) chunked(ctx context.Context) error {
	u.chunk = max(u.chunk, u.p.o.ChunkSize)
	if u.chunk == 0 {
		u.chunk = fallbackChunk
	}
	mounted, err := u.start(ctx)
	if err != nil || mounted {
		return err
	}
	tries := attempts{Retry: u.p.c.o.Retry}
	for off := int64(0); off < u.d.Size; {
		next, err := u.patch(ctx, off)
		if err == nil {
			off = next
			tries.reset()
			u.p.emit(image.EventProgress, u.d, off, nil)
			continue
		}
		if !resumable(err) || ctx.Err() != nil {
			u.cancel(ctx)
			return err
		}
		if err := u.p.c.pause(ctx, u.p.h, &tries, asNetwork(err)); err != nil {
			u.cancel(ctx)
			return err
		}
		if off, err = u.status(ctx, off); err != nil {
			u.cancel(ctx)
			return err
		}
	}
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodPut, at: u.withDigest(), scopes: u.p.scopes(), repo: u.p.ref.Repository,
		body: empty, ok: []int{http.StatusCreated},
	})
	if err != nil {
		u.cancel(ctx)
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

// status asks how many bytes of the session the registry has.
func (u *upload) status(ctx context.Context, off int64) (int64, error) {
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodGet, at: u.at, scopes: u.p.scopes(), repo: u.p.ref.Repository,
		ok: []int{http.StatusNoContent},
	})
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	if resp.Header.Get("Location") != "" {
		if u.at, err = u.p.c.location(u.p.h, resp); err != nil {
			return 0, err
		}
	}
	end, ok := uploadRange(resp.Header.Get("Range"))
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

// cancel ends a session that is given up. Whether it works is of no interest (DC-29).
func (u *upload) cancel(ctx context.Context) {
	if u.at == nil {
		return
	}
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
