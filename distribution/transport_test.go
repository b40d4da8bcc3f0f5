package distribution

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// dialTo connects to addr whatever is asked for: a name of the internet without the internet.
func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}

func pool(s *registrytest.Server) *tls.Config {
	p := x509.NewCertPool()
	p.AddCert(s.TLS.Certificate())
	return &tls.Config{RootCAs: p}
}

func TestInsecure(t *testing.T) {
	plain, _, _ := setup(t, registrytest.Options{})
	secure, _, _ := setup(t, registrytest.Options{TLS: true})
	tests := []struct {
		name string
		host string
		o    Options
		want error
	}{
		{"plain http on loopback", plain.Host, Options{}, nil},
		{"plain http elsewhere", "example.com", Options{Dial: dialTo(plain.Host)}, ErrInsecure},
		{"plain http elsewhere, allowed", "example.com", Options{Dial: dialTo(plain.Host), Insecure: true}, nil},
		{"https on loopback", secure.Host, Options{TLS: pool(secure)}, nil},
		{"https elsewhere", "example.com", Options{TLS: pool(secure), Dial: dialTo(secure.Host)}, nil},
		{"certificate of nobody", "example.com", Options{Dial: dialTo(secure.Host)}, ErrInsecure},
		{"certificate of nobody on loopback", secure.Host, Options{}, ErrInsecure},
		{"certificate of nobody, allowed", "example.com", Options{Dial: dialTo(secure.Host), Insecure: true}, nil},
		{"certificate for another name", "other.test", Options{TLS: pool(secure), Dial: dialTo(secure.Host)}, ErrInsecure},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pullInto(t, newClient(t, tt.o), mustRef(t, tt.host+"/team/app"), newMemory(), PullOptions{})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	for _, r := range plain.Requests() {
		if r.Host == "example.com" && r.Header.Get("Authorization") != "" {
			t.Error("credentials over plain http")
		}
	}
}

func TestLoopbackName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9:80": true,
		"[::1]:5000": true, "[::1]": true, "localhost.example": false, "10.0.0.1:5000": false,
		"192.168.1.1": false, "example.com": false, "127.0.0.1.example.com": false, "": false,
	} {
		if got := loopbackName(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

// TestDC54_redirect: a blob may come from another host, which sees no credentials.
func TestDC54_redirect(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	var mu sync.Mutex
	seen := map[string]http.Header{}
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.URL.Path] = r.Header.Clone()
		mu.Unlock()
		i := strings.LastIndex(r.URL.Path, "/")
		for d, raw := range f.store.blobs {
			if d.String() == r.URL.Path[i+1:] {
				_, _ = w.Write(raw)
			}
		}
	}))
	defer cdn.Close()
	s.Inject(registrytest.Rule{Path: "/blobs/", Fault: registrytest.Redirect(cdn.URL)})
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 {
		t.Errorf("%d blobs came from the other host, want 4", len(seen))
	}
	for path, h := range seen {
		if h.Get("Authorization") != "" || h.Get("Referer") != "" {
			t.Errorf("H-79: %s: Authorization %q, Referer %q", path, h.Get("Authorization"), h.Get("Referer"))
		}
	}
}

func TestDC54_redirect_on_the_same_host_keeps_authorization(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	s.Inject(registrytest.Rule{Path: f.layers[0].Digest.String(), Times: 1, Fault: registrytest.Redirect("")})
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestRedirectRules(t *testing.T) {
	c := newClient(t, Options{})
	req := func(u string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer x")
		return r
	}
	for _, tt := range []struct {
		from, to string
		want     error
		keeps    bool
	}{
		{"https://a.example/x", "https://a.example/y", nil, true},
		{"https://a.example/x", "https://b.example/y", nil, false},
		{"https://a.example/x", "https://sub.a.example/y", nil, false},
		{"https://a.example/x", "https://a.example:8443/y", nil, false},
		{"http://a.example/x", "https://a.example/y", nil, false},
		{"https://a.example/x", "http://a.example/y", ErrInsecure, true},
		{"https://a.example/x", "ftp://a.example/y", ErrProtocol, true},
	} {
		to := req(tt.to)
		err := c.redirect(to, []*http.Request{req(tt.from)})
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s -> %s: got %v, want %v", tt.from, tt.to, err, tt.want)
		}
		if err == nil && (to.Header.Get("Authorization") != "") != tt.keeps {
			t.Errorf("%s -> %s: keeps Authorization: %v", tt.from, tt.to, !tt.keeps)
		}
	}
}

// TestH77_registry_cannot_lead_us_nearer: the check is on the address that was dialled.
func TestH77_registry_cannot_lead_us_nearer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	for name, tt := range map[string]struct {
		registry string
		address  string
		ok       bool
	}{
		"the registry itself":     {l.Addr().String(), l.Addr().String(), true},
		"loopback from loopback":  {"localhost:1", l.Addr().String(), true},
		"loopback from elsewhere": {"r.example", l.Addr().String(), false},
		"a name for loopback":     {"r.example", strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1), false},
		"metadata from loopback":  {"localhost:1", "169.254.169.254:80", false}, // refused before a packet is sent
		"mapped, from loopback":   {"localhost:1", "[::ffff:169.254.169.254]:80", false},
		"metadata from private":   {"10.0.0.1", "169.254.169.254:80", false},
		"Alibaba from loopback":   {"localhost:1", "100.100.100.200:80", false},
	} {
		h := newClient(t, Options{}).host(tt.registry)
		conn, err := guardedDial(context.WithValue(t.Context(), guardKey{}, &guard{host: h}), "tcp4", tt.address)
		if err == nil {
			_ = conn.Close()
		}
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrInsecure) {
			t.Errorf("%s: got %v, want ok %v", name, err, tt.ok)
		}
	}
}

func TestConnectionRefusedFailsSoon(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = c.Resolve(t.Context(), mustRef(t, addr+"/a"))
	if !errors.Is(err, ErrNetwork) || time.Since(began) > 3*time.Second {
		t.Errorf("got %v after %s, want ErrNetwork soon", err, time.Since(began))
	}
}

func TestDC55_errors_are_shown_safely(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(
		registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Status(405)},
		registrytest.Rule{Method: http.MethodGet, Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"no \u001b[31m\u202eentry %s","detail":{"x":[1]}},{"message":"second"}]}`, strings.Repeat("x", 1000))
		}})
	_, err := newClient(t, Options{}).Resolve(t.Context(), ref)
	var se *StatusError
	if !errors.As(err, &se) || se.Status != 403 || len(se.Messages) != 2 {
		t.Fatalf("got %#v", err)
	}
	text := err.Error()
	if !strings.Contains(text, "DENIED: no ") || !strings.Contains(text, "second") {
		t.Errorf("the reasons are not shown: %s", text)
	}
	if strings.ContainsAny(text, "\x1b\u202e") || len(text) > 1000 {
		t.Errorf("H-85: the text is not safe: %q", text)
	}
	for name, body := range map[string]string{"html": "<html>", "empty": "", "null": "null", "odd": `{"errors":"x"}`, "long": strings.Repeat("x", 1<<20)} {
		s.Heal()
		s.Inject(registrytest.Rule{Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, body)
		}})
		if _, err := newClient(t, Options{}).Resolve(t.Context(), ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestDC56_warnings_once(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Add("Warning", "299 - \"it\\'s going \\\"away\\\" \u202e soon\"")
		w.Header().Add("Warning", `299 - "second"`)
		w.Header().Add("Warning", `199 - "other code"`)
		w.Header().Add("Warning", `299 agent "x"`)
		w.Header().Add("Warning", `299 - unquoted`)
		next.ServeHTTP(w, r)
	}})
	var mu sync.Mutex
	var got []string
	c := newClient(t, Options{Warn: func(host, text string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, text)
		if host != s.Host {
			t.Errorf("host %q", host)
		}
	}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.Contains(got[0]+got[1], `it's going "away" \u202e soon`) {
		t.Errorf("warnings: %q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-1": 0, "1.5": 0, "soon": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"99999999999999999999": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestContentRange(t *testing.T) {
	for in, want := range map[string]string{
		"bytes 0-9/10": "0 9 10 true", "bytes 5-9/*": "5 9 -1 true", "bytes */10": "0 0 10 false",
		"bytes 9-5/10": "0 0 10 false", "0-9/10": "0 0 -1 false", "": "0 0 -1 false",
		"bytes -1-5/10": "0 0 10 false", "bytes 0-9/x": "0 0 -1 false", "bytes 0-9": "0 0 -1 false",
	} {
		a, b, c, ok := contentRange(in)
		if got := fmt.Sprint(a, b, c, ok); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// TestFirstConnectionBreaks: a registry of plain http on loopback is tried again, and not taken
// for one that should speak https.
func TestFirstConnectionBreaks(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Times: 1, Fault: registrytest.Drop()})
	d, err := newClient(t, Options{}).Resolve(t.Context(), ref)
	if err != nil || d.Digest != f.index.Digest {
		t.Errorf("got %v, %v", d.Digest, err)
	}
}

// TestBothSchemesBreak: what was tried first is told as well as what was tried last.
func TestBothSchemesBreak(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_ = c.Close()
		}
	}()
	_, err = newClient(t, Options{}).Resolve(t.Context(), mustRef(t, l.Addr().String()+"/a:1"))
	if !errors.Is(err, ErrNetwork) || errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), "over http: ") || !strings.Contains(err.Error(), "; over https: ") {
		t.Errorf("got %v", err)
	}
}

func TestSameOrigin(t *testing.T) {
	parse := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"https://a/x", "https://a:443/y", true},
		{"https://A/x", "https://a/y", true},
		{"http://a:80", "http://a", true},
		{"https://a", "http://a", false},
		{"https://a:443", "http://a:443", false},
		{"https://a:8443", "https://a", false},
		{"https://b.a", "https://a", false},
	} {
		if got := sameOrigin(parse(tt.a), parse(tt.b)); got != tt.want {
			t.Errorf("%s, %s: got %v", tt.a, tt.b, got)
		}
	}
}
