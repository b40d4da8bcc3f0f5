package distribution

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
)

// Credentials finds the credential for a repository of a registry, anonymous if there is none.
// credential.Keychain is one.
type Credentials interface {
	Lookup(ctx context.Context, registry, repository string) (credential.Credential, error)
}

// Options of a Client. The zero value is anonymous and strict.
type Options struct {
	// Credentials are asked when a registry wants some; nil is anonymous.
	Credentials Credentials
	// Insecure allows plain http and certificates that nobody vouches for, for every registry.
	// Registries on loopback addresses may always speak plain http.
	Insecure bool
	// InsecureHosts are registries, as references call them, that have what Insecure allows.
	InsecureHosts []string
	// PlainHTTP speaks plain http with the registries that references name, and does not try https;
	// where a file of mirrors gives the scheme, that one.
	PlainHTTP bool
	// Header is sent with every request to the registries that references name: not to mirrors, token
	// servers, and where they lead to. It cannot replace what the client sends itself.
	Header http.Header
	// Resolve gives the addresses ("ip:port") to dial for some "host:port", in place of a look-up.
	Resolve map[string]string
	// TLS is the base of the TLS configuration: certificate authorities, and client certificates,
	// which only the registries that references name get to see.
	TLS *tls.Config
	// CertDirs hold, for a host, HOST:PORT/*.crt, *.cert and *.key as AddCertDir reads them. The
	// first that has the host decides.
	CertDirs []string
	// HostCertDirs are directories of certificates of single registries, as references call them;
	// CertDirs are not asked for these.
	HostCertDirs map[string]string
	// Mirrors say where images are asked for; nil asks each registry itself. Mirrors never get
	// the credentials of the registry, nor a credential.Static.
	Mirrors *mirrorconfig.Config
	// Retry bounds waiting.
	Retry Retry
	// IdleTimeout is how long a connection may stay silent; 30 s if 0.
	IdleTimeout time.Duration
	// UserAgent is sent with every request; "oci" if "".
	UserAgent string
	// Warn gets each warning of a registry once, safe to print; nil ignores them.
	Warn func(host, text string)
	// Waiting is told of each pause before another try; nil ignores them.
	Waiting func(Wait)
	// Logger gets the requests, at debug level and without secrets; nil discards.
	Logger *slog.Logger
	// Dial replaces the dialer. It takes over the checks of addresses.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client talks to registries. It may be used by several goroutines, and keeps connections, tokens
// and what it learnt about hosts: use one for a whole process.
type Client struct {
	o    Options
	log  *slog.Logger
	http *http.Client
	base *http.Transport // of hosts without TLS settings of their own

	buffers sync.Pool // of *[]byte, copyBuffer long or less

	rangeMin  int64 // see the constants of these names
	rangeSize int
	rangeFast int64

	mu     sync.Mutex
	hosts  map[string]*host
	extra  []*http.Transport // of hosts that have some
	warned map[string]bool
}

// New gives a Client. It does not use the network.
func New(o Options) (*Client, error) {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 30 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "oci"
	}
	if o.Credentials == nil {
		o.Credentials = credential.Static{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Retry = o.Retry.withDefaults()
	c := &Client{o: o, log: o.Logger, hosts: map[string]*host{}, warned: map[string]bool{}, rangeMin: rangeMin, rangeSize: rangeSize, rangeFast: rangeFast}
	c.base = newTransport(o)
	c.http = &http.Client{Transport: router{c}, CheckRedirect: c.redirect}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range append(c.extra, c.base) {
		t.CloseIdleConnections()
	}
	return nil
}

// A host is what the client knows of a registry.
type host struct {
	name     string // as references call it: "docker.io"
	api      string // host[:port] of its API
	prefix   string // of its paths: "/v2"
	auth     *authenticator
	at       mirrorconfig.Endpoint // how to reach it, as far as a file says
	mirror   bool                  // it stands in for another registry
	named    bool                  // references name it, or a file of mirrors does: no token server
	insecure bool                  // plain http and unproved certificates are allowed
	retry    Retry
	connect  time.Duration // bounds connecting
	quick    bool          // others come after it: it is not waited for twice

	first sync.Mutex // held for the first request, which finds the scheme

	tlsOnce  sync.Once
	own, led *http.Transport // see transports
	tlsErr   error

	mu     sync.Mutex
	scheme string    // "" until an answer came
	reach  reach     // of the address it was reached at
	gate   time.Time // no request before: the registry said Retry-After
	rest   time.Time // no request before, if there is another host: the mirror failed
}

// host gives the host of a token server, to keep its gate.
func (c *Client) host(name string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := "at " + name
	h := c.hosts[key]
	if h == nil {
		h = c.newHost(name)
		c.hosts[key] = h
	}
	return h
}

func (c *Client) newHost(name string) *host {
	h := &host{
		name: name, api: name, prefix: "/v2", reach: reachOfName(name),
		insecure: c.o.Insecure, retry: c.o.Retry, connect: connectTime,
	}
	h.auth = &authenticator{client: c, host: h, tokens: map[string]token{}, extra: map[string][]string{}, creds: map[string]credential.Credential{}, newer: map[string]string{}}
	return h
}

func (h *host) knownScheme() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scheme
}

func (h *host) setScheme(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scheme = s
}

// schemes gives what to try, in order. On loopback plain http comes first: it is what registries
// there speak, and no credential is sent before the registry asked for one.
func (c *Client) schemes(h *host) []string {
	switch s := h.knownScheme(); {
	case s != "":
		return []string{s}
	case c.o.PlainHTTP && h.named && !h.mirror:
		return []string{"http"}
	case loopbackName(h.api):
		return []string{"http", "https"}
	case h.insecure:
		return []string{"https", "http"}
	}
	return []string{"https"}
}
