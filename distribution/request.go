package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// A request is one call of the distribution API, made again as often as need be.
type request struct {
	method string
	path   string   // with query, below the host's API: "/v2/..."
	at     *url.URL // in place of path: a location that the registry gave
	scopes []string // of the token, "repository:<name>:pull"
	repo   string   // whose credential to use
	header http.Header
	body   func() (io.ReadCloser, error) // a fresh body for each try; nil for none
	length int64                         // of the body
	ok     []int                         // statuses that are a success
	once   bool                          // do not try again here
	// foreign: at is what a manifest said, not the registry. Nothing of ours goes there.
	foreign bool
}

// do performs r under the retry rules. The body of the answer is the caller's to close. An answer
// with a status not in r.ok is a StatusError.
func (c *Client) do(ctx context.Context, h *host, r request) (resp *http.Response, err error) {
	if r.once {
		if err := h.pass(ctx); err != nil {
			return nil, err
		}
		return c.try(ctx, h, r)
	}
	err = c.retry(ctx, h, func() error {
		resp, err = c.try(ctx, h, r)
		return err
	})
	return resp, err
}

// try performs r once: finding the scheme of a host that is new, answering a challenge.
func (c *Client) try(ctx context.Context, h *host, r request) (*http.Response, error) {
	if h.knownScheme() == "" {
		h.first.Lock()
		defer h.first.Unlock()
	}
	schemes := c.schemes(h)
	var before error // of the scheme tried first
	for i, scheme := range schemes {
		resp, err := c.authorized(ctx, h, scheme, r)
		if before != nil && errors.Is(err, http.ErrSchemeMismatch) {
			return nil, before // the first scheme was right, its connection broke
		}
		last := i == len(schemes)-1
		if last && err != nil && before != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			err = fmt.Errorf("over %s: %w; over %s: %w", schemes[0], before, scheme, err)
		}
		if last || !wrongScheme(resp, err) {
			if resp != nil {
				h.setScheme(scheme)
			}
			return c.accept(resp, err, r)
		}
		before = err
		if resp != nil {
			_ = resp.Body.Close()
		}
	}
	return nil, fmt.Errorf("%w: no scheme for %s", ErrProtocol, h.name) // schemes is never empty
}

// wrongScheme tells whether the first answer of a host says that it speaks the other scheme.
func wrongScheme(resp *http.Response, err error) bool {
	if err == nil {
		// What servers of https say to plain http.
		return resp.Request.URL.Scheme == "http" && resp.StatusCode == http.StatusBadRequest && resp.Header.Get("Docker-Distribution-Api-Version") == ""
	}
	return errors.Is(err, ErrNetwork) || errors.Is(err, ErrInsecure)
}

// accept makes a StatusError of what is no success.
func (c *Client) accept(resp *http.Response, err error, r request) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	if slices.Contains(r.ok, resp.StatusCode) {
		return resp, nil
	}
	return nil, statusError(resp)
}

// authorized sends r with what the host is known to ask for, and again when it asks for something
// else.
func (c *Client) authorized(ctx context.Context, h *host, scheme string, r request) (*http.Response, error) {
	base := &url.URL{Scheme: scheme, Host: h.api}
	u := r.at
	if u == nil {
		var err error
		if u, err = base.Parse(r.path); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	ours := !r.foreign && sameOrigin(u, base) // a location elsewhere gets no credentials
	var used string
	if ours {
		var err error
		if used, err = h.auth.header(ctx, scheme, r); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		resp, err := c.single(ctx, h, u, r, used)
		if err != nil || !ours || try == maxTries || !challenging(resp) {
			return resp, err
		}
		again, wider, err := h.auth.challenged(ctx, scheme, resp, r, used)
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		if again == "" || again == used || try > 1 && !wider {
			return resp, nil // there is nothing else to offer
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // lets the connection be used again
		_ = resp.Body.Close()
		used = again
	}
}

// single is one request on the wire.
func (c *Client) single(ctx context.Context, h *host, u *url.URL, r request, authorization string) (*http.Response, error) {
	var body io.ReadCloser
	if r.body != nil {
		var err error
		if body, err = r.body(); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if body != nil {
		req.Body, req.ContentLength = body, r.length
		if r.length == 0 {
			_ = body.Close()
			req.Body = http.NoBody
		}
	}
	ours := !r.foreign && sameOrigin(u, &url.URL{Scheme: u.Scheme, Host: h.api})
	if ours {
		maps.Copy(req.Header, h.extra(c))
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	if ours {
		h.header(req.Header)
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	req.Header.Set("Accept-Encoding", "identity")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return c.send(req, &guard{host: h, secret: r.foreign, foreign: r.foreign})
}

// location gives where the Location header of resp points, absolute. The query that it carries is
// kept as it is (DC-20).
func (c *Client) location(h *host, resp *http.Response) (*url.URL, error) {
	text := resp.Header.Get("Location")
	if text == "" {
		return nil, badLocation(fmt.Errorf("%w: none in the answer %d", ErrProtocol, resp.StatusCode))
	}
	u, err := resp.Request.URL.Parse(text)
	if err != nil {
		return nil, badLocation(fmt.Errorf("%w: %q", ErrProtocol, printable(text)))
	}
	scheme := h.knownScheme()
	if u.Scheme == "http" && scheme == "https" {
		// A registry behind a proxy that ends TLS does not know its own scheme.
		if !strings.EqualFold(u.Hostname(), hostOnly(h.api)) {
			return nil, badLocation(fmt.Errorf("%w: it leads from https to http", ErrInsecure))
		}
		u.Scheme, u.Host = "https", h.api
	}
	if u.Scheme != "http" && u.Scheme != "https" || !place(u) {
		return nil, badLocation(fmt.Errorf("%w: %q", ErrProtocol, printable(text)))
	}
	if err := h.notLinkLocal(u); err != nil {
		return nil, badLocation(err)
	}
	return u, nil
}

func badLocation(err error) error {
	return &Error{Op: "follow Location", Clause: spec.PushLocation, Err: err}
}
