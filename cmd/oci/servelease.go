package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/oci-pipeline/oci/image/store"
)

// leaseTime is how long after a request of a push `oci prune` has to wait: the next one comes within
// seconds, and until the last, which names the image, nothing tells that its content is wanted.
const leaseTime = 2 * time.Minute

// lease is a hold on the store that lasts from the first request of a push until some time after the
// last. A nil lease does nothing.
type lease struct {
	s    *store.Store
	stay time.Duration

	mu     sync.Mutex
	active int // requests under way
	hold   *store.Hold
	timer  *time.Timer // ends the hold; nil while there is none
	closed bool
}

func newLease(s *store.Store) *lease { return &lease{s: s, stay: leaseTime} }

// during keeps the lease for the requests that push.
func (l *lease) during(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			l.begin(r.Context())
			defer l.end()
		}
		h.ServeHTTP(w, r)
	})
}

// begin takes the hold. Where that fails, what is pushed is no worse off than without it.
func (l *lease) begin(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active++
	if l.timer != nil {
		l.timer.Stop()
	}
	l.take(ctx)
}

func (l *lease) take(ctx context.Context) {
	if l.hold == nil && !l.closed {
		l.hold, _ = l.s.Hold(ctx)
	}
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	if l.active == 0 && l.hold != nil {
		l.timer = time.AfterFunc(l.stay, l.expire)
	}
}

func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active == 0 {
		l.release()
	}
}

func (l *lease) release() {
	l.hold.Release() // nothing if there is none
	l.hold = nil
}

// without runs f, which deletes, and for which the store must be free.
func (l *lease) without(ctx context.Context, f func() error) error {
	if l == nil {
		return f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.hold != nil
	l.release()
	err := f()
	if held {
		l.take(context.WithoutCancel(ctx))
	}
	return err
}

// close gives the hold up for good.
func (l *lease) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.release()
}
