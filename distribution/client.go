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
	// TLS is the base of the TLS configuration: certificate authorities, client certificates.
	TLS *tls.Config
	// Retry bounds waiting.
	Retry Retry
	// IdleTimeout is how long a connection may stay silent; 30 s if 0.
	IdleTimeout time.Duration
	// UserAgent is sent with every request; "oci" if "".
	UserAgent string
	// Warn gets each warning of a registry once, safe to print; nil ignores them.
	Warn func(host, text string)
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

	buffers sync.Pool // of *[]byte, copyBuffer long

	mu     sync.Mutex
	hosts  map[string]*host
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
	c := &Client{o: o, log: o.Logger, hosts: map[string]*host{}, warned: map[string]bool{}}
	c.http = &http.Client{Transport: newTransport(o), CheckRedirect: c.redirect}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// A host is what the client knows of a registry.
type host struct {
	name string // as references call it: "docker.io"
	api  string // host[:port] of its API
	auth *authenticator

	first sync.Mutex // held for the first request, which finds the scheme

	mu     sync.Mutex
	scheme string    // "" until an answer came
	reach  reach     // of the address it was reached at
	gate   time.Time // no request before: the registry said Retry-After
}

func (c *Client) host(name string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.hosts[name]; h != nil {
		return h
	}
	h := &host{name: name, api: name, reach: reachOfName(name)}
	if name == "docker.io" || name == "index.docker.io" {
		h.api = "registry-1.docker.io"
	}
	h.auth = &authenticator{client: c, host: h, tokens: map[string]token{}, creds: map[string]credential.Credential{}}
	c.hosts[name] = h
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
	case loopbackName(h.api):
		return []string{"http", "https"}
	case c.o.Insecure:
		return []string{"https", "http"}
	}
	return []string{"https"}
}
