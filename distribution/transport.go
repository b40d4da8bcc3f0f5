package distribution

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	connectTime  = 15 * time.Second
	maxRedirects = 10
)

// newTransport makes the transport of all requests. It speaks HTTP/1.1: the several connections of
// a pull each have a TCP window of their own, which one HTTP/2 connection does not.
func newTransport(o Options) *http.Transport {
	conf := o.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	if o.Insecure {
		conf.InsecureSkipVerify = true
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           o.dialer(),
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   connectTime,
		Protocols:             protocols,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       60 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // or a blob would be inflated behind our back (H-81)
		WriteBufferSize:       64 << 10,

		MaxResponseHeaderBytes: 256 << 10,
	}
}

// reach is how near an address is. Credentials go no nearer than the registry that asks for them
// is itself; blobs may come from private addresses (stores beside a proxy for the internet are
// there), but no registry leads us to this machine, and none to the services of its cloud.
type reach int

const (
	public reach = iota
	private
	linkLocal // where clouds serve credentials of the machine (169.254.169.254)
	loopback
)

// metadata are the places outside of the link-local addresses at which clouds serve credentials of the
// machine: AWS over IPv6, Google over IPv6, Alibaba, Azure, Oracle.
var metadata = [...]netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
}

// permits tells whether a registry at r may lead to another place. Link-local is not between private and
// loopback: a registry on this machine may pass on what somebody far away says, so only one that is
// link-local itself leads there. secret is that of guard.
func (r reach) permits(to reach, secret bool) bool {
	if to == linkLocal {
		return r == linkLocal
	}
	if !secret {
		r = max(r, private)
	}
	return to <= r
}

func reachOf(a netip.Addr) reach {
	a = a.Unmap().WithZone("")
	for _, p := range metadata {
		if p.Contains(a) {
			return linkLocal
		}
	}
	switch {
	case a.IsLoopback() || a.IsUnspecified():
		return loopback
	case a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast():
		return linkLocal
	case a.IsPrivate() || a.IsMulticast():
		return private
	}
	return public
}

// reachOfName gives the reach that a host name itself tells; public if it tells none.
func reachOfName(hostport string) reach {
	if loopbackName(hostport) {
		return loopback
	}
	if a, err := netip.ParseAddr(hostOnly(hostport)); err == nil {
		return reachOf(a)
	}
	return public
}

// loopbackName tells whether a host is this machine by its very name.
func loopbackName(hostport string) bool {
	h := hostOnly(hostport)
	if h == "localhost" || strings.HasSuffix(h, ".localhost") { // RFC 6761 6.3
		return true
	}
	a, err := netip.ParseAddr(h)
	return err == nil && a.Unmap().IsLoopback()
}

func hostOnly(hostport string) string {
	h, _, err := net.SplitHostPort(hostport)
	if err != nil {
		h = hostport
	}
	return strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
}

// A guard travels with a request and says where it may go.
type guard struct {
	host    *host // whose request it is
	secret  bool  // it may go no nearer than the registry: for credentials, and for what a manifest says
	foreign bool  // a manifest says where it goes
	proxied atomic.Bool
}

type guardKey struct{}

// proxy is http.ProxyFromEnvironment; it tells the guard when a proxy does the dialling.
func proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, fmt.Errorf("%w: the proxy that the environment names is no URL", ErrNetwork) // it may hold a password
	}
	if g, ok := r.Context().Value(guardKey{}).(*guard); ok {
		g.proxied.Store(u != nil)
	}
	return u, nil
}

// guardedDial connects, and refuses addresses nearer than the registry's own. The check is made on
// the address that the name resolved to, so that a name cannot hide it.
func guardedDial(ctx context.Context, network, address string) (net.Conn, error) {
	return guardedDialTo(ctx, network, address, address)
}

// guardedDialTo is guardedDial for an address that was chosen for another.
func guardedDialTo(ctx context.Context, network, address, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime, KeepAlive: 30 * time.Second}
	g, ok := ctx.Value(guardKey{}).(*guard)
	if ok {
		d.Timeout = g.host.connect
	}
	if !ok || g.proxied.Load() {
		return d.DialContext(ctx, network, to)
	}
	own := sameHost(address, g.host.api)
	d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return nil // not an IP network
		}
		r := reachOf(ap.Addr())
		g.host.mu.Lock()
		defer g.host.mu.Unlock()
		if own {
			g.host.reach = r
			return nil
		}
		if !g.host.reach.permits(r, g.secret) {
			return fmt.Errorf("%w: %s leads to %s, which is nearer than the registry itself", ErrInsecure, g.host.name, ap.Addr())
		}
		return nil
	}
	return d.DialContext(ctx, network, to)
}

// sameHost compares a dialled host:port with an API host whose port may be left out.
func sameHost(address, api string) bool {
	if strings.EqualFold(address, api) {
		return true
	}
	h, port, err := net.SplitHostPort(address)
	return err == nil && (port == "443" || port == "80") && strings.EqualFold(h, hostOnly(api)) && !hasPort(api)
}

func hasPort(api string) bool {
	_, _, err := net.SplitHostPort(api)
	return err == nil
}

// sameOrigin tells whether two URLs have scheme, host and port in common.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// maxHost is the length of a name in the DNS (RFC 1035 2.3.4). A longer one is not looked up, nor
// repeated by the errors of a look-up.
const maxHost = 253

// place tells whether a URL that a registry gave names a host, and nothing but that and what it has.
func place(u *url.URL) bool {
	return u.Host != "" && len(u.Host) <= maxHost+len(":65535") && u.User == nil && u.Opaque == ""
}

// notLinkLocal refuses a place that is link-local by its very name, before a proxy is asked for it or a
// dialler of the caller's, where no address is seen.
func (h *host) notLinkLocal(u *url.URL) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reachOfName(u.Host) == linkLocal && h.reach != linkLocal && !sameHost(u.Host, h.api) {
		return fmt.Errorf("%w: %s leads to %q, which is link-local", ErrInsecure, h.name, printable(u.Host))
	}
	return nil
}

// redirect decides on a redirect. Authorization stays with the host it was made for (DC-54).
func (c *Client) redirect(req *http.Request, via []*http.Request) error {
	from, insecure := via[len(via)-1].URL, c.o.Insecure
	g, ok := req.Context().Value(guardKey{}).(*guard)
	if ok {
		insecure = g.host.insecure
	}
	if req.Context().Value(noRedirectKey{}) != nil {
		return http.ErrUseLastResponse
	}
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("%w: more than %d redirects", ErrProtocol, maxRedirects)
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return fmt.Errorf("%w: redirect to scheme %q", ErrProtocol, printable(req.URL.Scheme))
	case !place(req.URL): // net/http would send the password of the URL on
		return fmt.Errorf("%w: redirect to %q", ErrProtocol, printable(req.URL.Redacted()))
	case req.URL.Scheme == "http" && from.Scheme == "https" && (!insecure || ok && g.foreign):
		return fmt.Errorf("%w: redirect from https to http", ErrInsecure)
	}
	if ok {
		if err := g.host.notLinkLocal(req.URL); err != nil {
			return err
		}
	}
	if ok && g.foreign {
		if err := foreignURL(req.URL, g.host); err != nil {
			return err
		}
	}
	if !sameOrigin(req.URL, via[0].URL) {
		req.Header.Del("Authorization")
		if ok {
			for k := range g.host.at.Header {
				req.Header.Del(k) // the configuration says it for the host, and it may be a secret
			}
			for k := range g.host.extra(c) {
				req.Header.Del(k)
			}
		}
	}
	req.Header.Del("Referer") // it would carry the signature of a signed URL to the next host
	return nil
}

// send performs one request. It fails with ErrTimeout when nothing moves for the idle timeout: not
// the connection, not the body sent, not the answer, not the body read from it.
func (c *Client) send(req *http.Request, g *guard) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(context.WithValue(req.Context(), guardKey{}, g))
	idle := c.o.IdleTimeout
	timer := time.AfterFunc(idle, func() {
		cancel(fmt.Errorf("%w: nothing came from %s for %s", ErrTimeout, req.URL.Host, idle))
	})
	w := &watched{ctx: ctx, cancel: cancel, timer: timer, idle: idle}
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedUpload{req.Body, w}
	}
	resp, err := c.http.Do(req.WithContext(ctx)) //nolint:bodyclose // the caller closes it
	w.answer()
	if err != nil {
		err = w.cause(err)
		cancel(nil)
		return nil, err
	}
	w.body = resp.Body
	resp.Body = w
	c.warnings(resp)
	return resp, nil
}

// watched is the body of an answer under the idle timeout.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // of this one request
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration

	mu       sync.Mutex
	answered bool // the body that is still being sent starts the timer no more
}

func (w *watched) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.timer.Stop()
}

func (w *watched) sent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.answered {
		w.timer.Reset(w.idle)
	}
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.idle) // runs only while we wait: a slow disk is not the registry's fault
	n, err := w.body.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF { //nolint:errorlint // as io.Reader gives it
		err = w.cause(err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.body.Close()
}

// cause turns the error of a request into its kind: the caller's own cancellation, the idle
// timeout, or what the network did.
func (w *watched) cause(err error) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return netError(err)
}

// watchedUpload restarts the idle timeout with every part of a body that is sent.
type watchedUpload struct {
	io.ReadCloser
	w *watched
}

func (u *watchedUpload) Read(p []byte) (int, error) {
	u.w.sent()
	return u.ReadCloser.Read(p)
}
