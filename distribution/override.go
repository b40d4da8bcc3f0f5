package distribution

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Wait is a pause that is long enough to be told: the registry asked for it, or an attempt failed.
type Wait struct {
	Host string
	For  time.Duration
	// Asked tells that the registry asked for the wait (Retry-After), and did not just fail.
	Asked bool
	// Quota is what the registry says is left of its limit on pulls; nil if it says nothing.
	Quota *RateLimit
	// Err is why; its text is safe to print.
	Err error
}

// resolved gives the address to dial for host:port: that of Options.Resolve, or itself.
func (o Options) resolved(address string) string {
	if to := o.Resolve[strings.ToLower(address)]; to != "" {
		return to
	}
	return address
}

// dialer gives the dialer of requests: the caller's own, or the one that guards.
func (o Options) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial
	}
	if len(o.Resolve) == 0 {
		return guardedDial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return guardedDialTo(ctx, network, address, o.resolved(address))
	}
}

// extra gives the headers that the options add for a registry that references name: no mirror, no
// token server, no place that one of them leads to.
func (h *host) extra(c *Client) http.Header {
	if !h.named || h.mirror {
		return nil
	}
	return c.o.Header
}

// anybody tells whether a registry may speak plain http and show any certificate.
func (o Options) anybody(registry string) bool {
	return o.Insecure || slices.Contains(o.InsecureHosts, registry)
}

// quotaOf gives what an answer says is left of the limit on pulls; nil if it says nothing.
func quotaOf(h http.Header) *RateLimit {
	if r := readRateLimit(h); r.Known() {
		return &r
	}
	return nil
}
