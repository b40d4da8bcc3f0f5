package distribution

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/image/reference"
)

// RateLimit is what a registry says of its limit on pulls. A negative number, and the zero Window
// and Source, mean that it does not say.
type RateLimit struct {
	Limit, Remaining int           // pulls in a window
	Window           time.Duration // how long one window lasts
	Source           string        // whom the limit counts: an address or an account; safe to print
}

// Known tells whether the registry says anything.
func (r RateLimit) Known() bool { return r.Limit >= 0 || r.Remaining >= 0 }

// String gives "3 of 100 pulls left in 21600 s, counted for 192.0.2.1"; what is not known is a question mark
// or left out.
func (r RateLimit) String() string {
	number := func(n int) string {
		if n < 0 {
			return "?"
		}
		return strconv.Itoa(n)
	}
	s := number(r.Remaining) + " of " + number(r.Limit) + " pulls left"
	if r.Window > 0 {
		s += " in " + strconv.Itoa(int(r.Window.Seconds())) + " s"
	}
	if r.Source != "" {
		s += ", counted for " + r.Source
	}
	return s
}

// RateLimit asks what is left of the limit on pulls, with one HEAD of the manifest that ref names,
// which Docker Hub does not count.
func (c *Client) RateLimit(ctx context.Context, ref reference.Ref) (RateLimit, error) {
	h, err := c.registryRef("ask for the rate limit", ref)
	if err != nil {
		return RateLimit{}, err
	}
	e := endpoint{h: h, repo: ref.Repository}
	resp, err := c.do(ctx, h, request{
		method: http.MethodHead, path: e.path("manifests", ref.Reference()),
		scopes: pullScope(e.repo), repo: e.repo, header: accept(), ok: []int{http.StatusOK},
	})
	if err != nil {
		return RateLimit{}, wrap("ask for the rate limit", ref.String(), err)
	}
	_ = resp.Body.Close()
	return readRateLimit(resp.Header), nil
}

// readRateLimit reads `RateLimit-Limit: 100;w=21600`, RateLimit-Remaining of the same form, and
// Docker-RateLimit-Source.
func readRateLimit(h http.Header) RateLimit {
	r := RateLimit{Limit: -1, Remaining: -1, Source: printable(h.Get("Docker-Ratelimit-Source"))}
	var window time.Duration
	r.Limit, r.Window = quota(h.Get("Ratelimit-Limit"))
	if r.Remaining, window = quota(h.Get("Ratelimit-Remaining")); r.Window == 0 {
		r.Window = window
	}
	return r
}

// maxWindow bounds what is believed of a window: a year.
const maxWindow = 365 * 24 * 60 * 60

func quota(s string) (n int, window time.Duration) {
	count, params, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 0 {
		return -1, 0
	}
	for p := range strings.SplitSeq(params, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "w="); ok {
			if w, err := strconv.Atoi(v); err == nil && w > 0 && w <= maxWindow {
				window = time.Duration(w) * time.Second
			}
		}
	}
	return n, window
}
