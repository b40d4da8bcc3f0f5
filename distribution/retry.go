package distribution

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Retry bounds how often and how long an operation is tried again. Zero fields mean the defaults.
type Retry struct {
	Attempts int           // in all, without progress between; 6
	Base     time.Duration // wait after the first failure, doubled after each; 250 ms
	Max      time.Duration // longest of these waits; 15 s
	Budget   time.Duration // from the first failure to the last try, also for Retry-After; 2 min
}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 6
	}
	if r.Base == 0 {
		r.Base = 250 * time.Millisecond
	}
	if r.Max == 0 {
		r.Max = 15 * time.Second
	}
	if r.Budget == 0 {
		r.Budget = 2 * time.Minute
	}
	return r
}

// maxRefused bounds the attempts at an address where nothing listens: that seldom heals.
const maxRefused = 3

// attempts counts the failures of one operation.
type attempts struct {
	Retry
	n     int
	start time.Time
}

// next gives the wait before another try after err; false if there is to be none.
func (a *attempts) next(err error) (time.Duration, bool) {
	limit := a.Attempts
	if errors.Is(err, syscall.ECONNREFUSED) {
		limit = min(limit, maxRefused)
	}
	if a.n == 0 {
		a.start = time.Now()
	}
	a.n++
	if a.n >= limit || !retryable(err) {
		return 0, false
	}
	wait := min(a.Base<<min(a.n-1, 20), a.Max)
	// Half of it at random: many clients that were refused together do not come back together.
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // spreads load, protects nothing
	var s *StatusError
	if errors.As(err, &s) && s.RetryAfter > 0 {
		wait = max(wait, s.RetryAfter)
	}
	return wait, wait <= a.Budget-time.Since(a.start) // not their sum: a registry may ask for 292 years
}

// reset is called after progress.
func (a *attempts) reset() { a.n = 0 }

// retryable tells whether the same request may succeed later.
func retryable(err error) bool {
	var s *StatusError
	if errors.As(err, &s) {
		switch s.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrNetwork)
}

// retry calls f until it succeeds, fails for good, or the attempts end.
func (c *Client) retry(ctx context.Context, h *host, f func() error) error {
	a := attempts{Retry: h.retry}
	for {
		if err := h.pass(ctx); err != nil {
			return err
		}
		err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := c.pause(ctx, h, &a, err); err != nil {
			return err
		}
	}
}

// pause waits before another try after err. It gives the error to end with, nil to try again.
func (c *Client) pause(ctx context.Context, h *host, a *attempts, err error) error {
	wait, again := a.next(err)
	if !again || h.quick && (errors.Is(err, ErrTimeout) || errors.Is(err, syscall.ECONNREFUSED)) {
		return err
	}
	c.log.DebugContext(ctx, "try again", "host", h.name, "wait", wait, "attempt", a.n, "err", err)
	var s *StatusError
	if errors.As(err, &s) && s.RetryAfter > 0 {
		h.close(time.Now().Add(wait)) // for everyone who asks this host
	}
	c.tellWait(h, wait, err, s)
	return sleep(ctx, wait)
}

// tellWait tells of a pause.
func (c *Client) tellWait(h *host, wait time.Duration, err error, s *StatusError) {
	if c.o.Waiting == nil {
		return
	}
	w := Wait{Host: h.name, For: wait, Err: err}
	if s != nil {
		w.Asked, w.Quota = s.RetryAfter > 0, s.Quota
	}
	c.o.Waiting(w)
}

// close lets no request to h pass before t.
func (h *host) close(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.After(h.gate) {
		h.gate = t
	}
}

// pass waits until requests to h may go out.
func (h *host) pass(ctx context.Context) error {
	h.mu.Lock()
	wait := time.Until(h.gate)
	h.mu.Unlock()
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110 10.2.3). 0 is none.
func retryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(0, t.Sub(now))
}
