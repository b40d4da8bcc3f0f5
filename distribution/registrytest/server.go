package registrytest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registry"
)

// Options of a test registry. The zero value gives an empty, writable registry without
// authentication.
type Options struct {
	Registry registry.Options // Writable is always set
	Backend  registry.Backend // a new registry.Memory if nil
	TLS      bool             // serve https with the certificate of net/http/httptest
	Config   *tls.Config      // serve https with this; Authority.Server makes one
	// Auth, if not nil, sees every request before the registry and its faults do.
	Auth func(next http.Handler) http.Handler
}

// Server is a running test registry.
type Server struct {
	// Host is host:port, what a reference to this registry starts with.
	Host string
	// URL is the scheme and Host.
	URL string
	// Backend is what the registry keeps.
	Backend registry.Backend
	// Dial connects to an in-memory server, whatever address is asked for; nil for one on
	// loopback.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the underlying server of one on loopback, for its certificate; nil in memory.
	TLS *httptest.Server

	handler *registry.Handler

	mu    sync.Mutex
	rules []*Rule
	seen  []Request
}

// Request is what the server remembers of a request.
type Request struct {
	Method, Path, RawQuery, Host string
	Header                       http.Header
}

// New starts a registry on a loopback port. It ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, h := build(o)
	hs := httptest.NewUnstartedServer(h)
	if o.TLS || o.Config != nil {
		hs.TLS = o.Config
		hs.StartTLS()
	} else {
		hs.Start()
	}
	t.Cleanup(func() {
		hs.CloseClientConnections() // ends faults that hang
		hs.Close()
		if err := s.handler.Close(); err != nil {
			t.Errorf("close registry: %v", err)
		}
	})
	s.URL, s.TLS = hs.URL, hs
	_, s.Host, _ = strings.Cut(hs.URL, "://")
	return s
}

// NewInMemory starts a registry on pipes, reached by Dial only. Its host is "localhost:5000", so
// that clients use plain http. Call its Close before a synctest bubble ends.
func NewInMemory(t testing.TB, o Options) (s *Server, shut func()) {
	t.Helper()
	s, h := build(o)
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	hs := &http.Server{Handler: h} //nolint:gosec // a pipe has no slow strangers
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	}()
	s.Host, s.URL, s.Dial = "localhost:5000", "http://localhost:5000", l.dial
	return s, func() {
		_ = hs.Close()
		<-ended
		_ = s.handler.Close()
	}
}

func build(o Options) (*Server, http.Handler) {
	if o.Backend == nil {
		o.Backend = &registry.Memory{}
	}
	o.Registry.Writable = true
	s := &Server{Backend: o.Backend, handler: registry.New(o.Backend, o.Registry)}
	var h http.Handler = http.HandlerFunc(s.serve)
	if o.Auth != nil {
		h = o.Auth(h)
	}
	return s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.remember(r)
		h.ServeHTTP(w, r)
	})
}

func (s *Server) remember(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, Request{r.Method, r.URL.Path, r.URL.RawQuery, r.Host, r.Header.Clone()})
}

// Requests gives what has been asked so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.seen...)
}

// Count says how many requests so far had this method and a path that holds part.
func (s *Server) Count(method, part string) int {
	n := 0
	for _, r := range s.Requests() {
		if (method == "" || r.Method == method) && strings.Contains(r.Path, part) {
			n++
		}
	}
	return n
}

// Forget empties what Requests and Count tell.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// pipeListener hands out the far ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
