package distribution

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// maxTimesSent is how often a whole blob is sent in one session. Before it is sent for the second time the
// registry is asked what it has; for the third time it is sent at once. A proxy that turns every other
// request away would else turn each of these away: whatever is asked between them is asked until it is
// answered, and so leaves the next request to be refused.
const maxTimesSent = 3

// whole sends the blob in one PUT. Where that breaks, the registry is asked how far it came, and the
// rest is sent; one that keeps nothing of it gets the whole again.
func (u *upload) whole(ctx context.Context) error {
	var sent int     // in the session that is open
	var before error // of the last time in it
	return u.p.c.retry(ctx, u.p.h, func() error {
		if sent == 0 {
			if mounted, err := u.start(ctx); err != nil || mounted {
				return err
			}
		}
		err := u.put(ctx)
		if err == nil {
			return nil
		}
		sent++
		if sent == 1 && retryable(err) && (u.there(ctx, true) || u.mend(ctx, err)) {
			return nil
		}
		if turnedAway(err) && sent < maxTimesSent && ctx.Err() == nil {
			before = err
			return err
		}
		if sent > 1 && sessionLost(err) {
			// Closed by what seemed to fail, or in pieces; what is wrong with the blob itself a session of its
			// own will tell.
			if u.there(ctx, false) {
				return nil
			}
			err = before
		}
		u.cancel(ctx)
		sent = 0
		return err
	})
}

// put sends the whole blob, and closes the session with it.
func (u *upload) put(ctx context.Context) error {
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodPut, at: u.withDigest(), scopes: u.p.scopes(), repo: u.p.ref.Repository,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   func() (io.ReadCloser, error) { return u.body(ctx, 0, u.d.Size, true) },
		length: u.d.Size, ok: []int{http.StatusCreated}, once: true,
	})
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	return u.stored(resp, spec.PushMonolithic)
}

// turnedAway tells whether a request was refused for now, most likely before it was looked at.
func turnedAway(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && (s.Status == http.StatusServiceUnavailable || s.Status == http.StatusTooManyRequests || s.Status == http.StatusBadGateway)
}

// sessionLost tells whether a request failed as it does where a session is no more what it is thought
// to be.
func sessionLost(err error) bool {
	var s *StatusError
	if !errors.As(err, &s) {
		return false
	}
	switch s.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}

// there asks whether the registry has the blob: an upload that seems to have failed may be done. once
// takes a failure for a no.
func (u *upload) there(ctx context.Context, once bool) bool {
	if ctx.Err() != nil {
		return false
	}
	resp, err := u.p.c.do(ctx, u.p.h, request{
		method: http.MethodHead, path: u.p.path("blobs", u.d.Digest.String()),
		scopes: u.p.scopes(), repo: u.p.ref.Repository, ok: []int{http.StatusOK}, once: once,
	})
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}
