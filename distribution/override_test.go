package distribution

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestDC54_extra_headers: headers of the caller go to the registry, and not where it leads to.
func TestDC54_extra_headers(t *testing.T) {
	s, elsewhere := registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	f.fill(t, s.Backend, "team/app")
	f.fill(t, elsewhere.Backend, "team/app")
	s.Inject(registrytest.Rule{Method: http.MethodGet, Path: "/blobs/", Fault: registrytest.Redirect(elsewhere.URL)})
	c, err := New(Options{Header: http.Header{"X-Tenant": {"blue"}, "Accept": {"text/plain"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), mustRef(t, s.Host+"/team/app"), newMemory(), PullOptions{Platform: testPlatform()}); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		if r.Header.Get("X-Tenant") != "blue" {
			t.Errorf("%s %s lacks the header", r.Method, r.Path)
		}
		if strings.Contains(r.Path, "/manifests/") && r.Header.Get("Accept") == "text/plain" {
			t.Errorf("%s %s: the caller's Accept replaced the client's", r.Method, r.Path)
		}
	}
	if len(elsewhere.Requests()) == 0 {
		t.Fatal("nothing was redirected")
	}
	for _, r := range elsewhere.Requests() {
		if r.Header.Get("X-Tenant") != "" {
			t.Errorf("the header went to another host with %s", r.Path)
		}
	}
}

// TestResolveOption: a name that no DNS knows is dialled where the caller says.
func TestResolveOption(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	newFixture(t).fill(t, s.Backend, "app")
	_, port, _ := net.SplitHostPort(s.Host)
	name := "registry.invalid:" + port
	c, err := New(Options{Resolve: map[string]string{name: s.Host}, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), mustRef(t, name+"/app")); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[0].Host; got != name {
		t.Errorf("Host is %q, want %q", got, name)
	}
}

// TestPlainHTTPOption: with it https is not tried; without it plain http is refused.
func TestPlainHTTPOption(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	newFixture(t).fill(t, s.Backend, "app")
	ref := mustRef(t, "registry.invalid/app")
	for _, o := range []Options{{PlainHTTP: true}, {InsecureHosts: []string{"registry.invalid"}}, {InsecureHosts: []string{"other.invalid"}}} {
		o.Resolve = map[string]string{"registry.invalid:80": s.Host, "registry.invalid:443": s.Host}
		o.Retry = Retry{Attempts: 1}
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Resolve(t.Context(), ref)
		if want := !o.PlainHTTP && o.InsecureHosts[0] != ref.Registry; (err != nil) != want {
			t.Errorf("%v %v: %v", o.PlainHTTP, o.InsecureHosts, err)
		}
	}
}

// TestDC57_wait_is_told: a wait that the registry asks for is told with what is left of its limit.
func TestDC57_wait_is_told(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, shut := registrytest.NewInMemory(t, registrytest.Options{})
		defer shut()
		newFixture(t).fill(t, s.Backend, "app")
		s.Inject(registrytest.Rule{Times: 1, Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("RateLimit-Limit", "100;w=21600")
			w.Header().Set("RateLimit-Remaining", "0;w=21600")
			w.WriteHeader(http.StatusTooManyRequests)
		}})
		var waits []Wait
		c, err := New(Options{Dial: s.Dial, Waiting: func(w Wait) { waits = append(waits, w) }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Resolve(t.Context(), mustRef(t, s.Host+"/app")); err != nil {
			t.Fatal(err)
		}
		if len(waits) != 1 {
			t.Fatalf("%d waits told, want 1", len(waits))
		}
		w := waits[0]
		if !w.Asked || w.For < 7*time.Second || w.Quota == nil || w.Quota.Remaining != 0 || !errors.Is(w.Err, ErrRateLimited) {
			t.Errorf("got %+v", w)
		}
		if !strings.Contains(w.Err.Error(), "0 of 100 pulls left in 21600 s") {
			t.Errorf("the error does not tell the quota: %v", w.Err)
		}
	})
}

// TestH85_trace_masks: the trace of requests shows headers, and no secret.
func TestH85_trace_masks(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{Auth: registrytest.Basic("user", "hunter2")})
	f := newFixture(t)
	f.fill(t, s.Backend, "app")
	s.Inject(registrytest.Rule{Path: "/manifests/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("X-Secret", "s3cret")
		w.Header().Set("Set-Cookie", "session=s3cret")
		next.ServeHTTP(w, r)
	}})
	var out safeBuffer
	c, err := New(Options{
		Logger:      slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Credentials: staticUser{}, Header: http.Header{"X-Api-Key": {"s3cret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), mustRef(t, s.Host+"/app")); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{"msg=request", "msg=response", "header.Authorization=\"Basic ***\"", "header.X-Api-Key=***", "header.X-Secret=***", "header.Accept=", "header.Docker-Content-Digest=sha256:", "status=401", "status=200"} {
		if !strings.Contains(got, want) {
			t.Errorf("the trace lacks %q:\n%s", want, got)
		}
	}
	for _, secret := range []string{"hunter2", "s3cret", "dXNlcjpodW50ZXIy"} {
		if strings.Contains(got, secret) {
			t.Errorf("the trace shows %q", secret)
		}
	}
	if text := maskQueries([]string{`/v2/app/blobs/uploads/1?_state=SIGNED&digest=sha256:1`, `</v2/_catalog?last=a&n=5>; rel="next"`}); strings.Contains(text, "SIGNED") || !strings.Contains(text, `last=a&n=5; rel="next"`) {
		t.Errorf("got %s", text)
	}
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// staticUser is the user of registrytest.Basic.
type staticUser struct{}

func (staticUser) Lookup(context.Context, string, string) (c credential.Credential, err error) {
	c.Username, c.Password = "user", "hunter2"
	return c, nil
}
