package distribution

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

func guarded(t *testing.T, ts *registrytest.TokenServer) (*registrytest.Server, *fixture) {
	t.Helper()
	s, f, _ := setup(t, registrytest.Options{Auth: ts.Guard})
	return s, f
}

func TestTokenAnonymous(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s, _ := guarded(t, ts)
	c := newClient(t, Options{})
	if _, err := pullInto(t, c, mustRef(t, s.Host+"/team/app"), newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := ts.Log(), []string{"GET repository:team/app:pull"}; !slices.Equal(got, want) {
		t.Errorf("one token serves a whole pull: got %q, want %q", got, want)
	}
}

func TestTokenWithPassword(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.Password = "ann", "s3cret"
	s, _ := guarded(t, ts)
	ref := mustRef(t, s.Host+"/team/app")
	if _, err := newClient(t, Options{}).Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous: got %v, want ErrUnauthorized", err)
	}
	bad := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "wrong"}})
	if _, err := bad.Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong password: got %v, want ErrUnauthorized", err)
	} else if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error shows the password: %v", err)
	}
	good := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "s3cret"}})
	if _, err := good.Resolve(t.Context(), ref); err != nil {
		t.Errorf("right password: %v", err)
	}
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Basic") {
			t.Error("the password was sent to the registry, it is for the token server")
		}
	}
}

func TestTokenByIdentityToken(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.RefreshToken = "nobody", "refresh"
	s, _ := guarded(t, ts)
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", IdentityToken: "refresh"}})
	if _, err := pullInto(t, c, mustRef(t, s.Host+"/team/app"), newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := ts.Log(), []string{"POST repository:team/app:pull"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRegistryToken(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s, _ := guarded(t, ts)
	c := newClient(t, Options{Credentials: credential.Static{RegistryToken: "mine"}})
	if _, err := c.Resolve(t.Context(), mustRef(t, s.Host+"/team/app")); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("got %v", err)
	}
	if len(ts.Log()) != 0 {
		t.Errorf("a token was asked for: %q", ts.Log())
	}
}

func TestTokenRevoked(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s, f := guarded(t, ts)
	c := newClient(t, Options{})
	ref := mustRef(t, s.Host+"/team/app")
	if _, err := c.Resolve(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	ts.Revoke()
	if _, _, err := c.Manifest(t.Context(), ref, f.manifest); err != nil {
		t.Errorf("a token that ends early is replaced: %v", err)
	}
	if n := len(ts.Log()); n != 2 {
		t.Errorf("%d tokens, want 2", n)
	}
}

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := 0
		var mu sync.Mutex
		asked := 0
		auth := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if r.URL.Path == "/token" {
					asked++
					body := `{"access_token":"t"}`
					if life > 0 {
						body = `{"token":"t","expires_in":300}`
					}
					_, _ = w.Write([]byte(body))
					return
				}
				if r.Header.Get("Authorization") != "Bearer t" {
					w.Header().Set("Www-Authenticate", `Bearer realm="http://localhost:5000/token",service="s"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
		s, shut := registrytest.NewInMemory(t, registrytest.Options{Auth: auth})
		newFixture(t).fill(t, s.Backend, "team/app")
		ref := mustRef(t, s.Host+"/team/app")
		for _, tt := range []struct {
			name        string
			life        int
			wait        time.Duration
			wantFetches int
		}{
			{"60 s is the default", 0, 50 * time.Second, 1},
			{"60 s is over", 0, 61 * time.Second, 2},
			{"300 s as it said", 300, 250 * time.Second, 1},
			{"300 s are over", 300, 301 * time.Second, 2},
		} {
			life, asked = tt.life, 0
			c, err := New(Options{Dial: s.Dial})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := c.Resolve(t.Context(), ref); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
				time.Sleep(tt.wait)
			}
			if asked != tt.wantFetches {
				t.Errorf("%s: asked for %d tokens, want %d", tt.name, asked, tt.wantFetches)
			}
			_ = c.Close()
		}
		shut()
	})
}

func TestBasic(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	if _, err := newClient(t, Options{}).Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous: got %v", err)
	}
	s.Forget()
	if _, err := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "no"}}).Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong password: got %v", err)
	}
	if n := len(s.Requests()); n != 2 {
		t.Errorf("a password that is refused was tried again: %d requests", n)
	}
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
	if s.Requests()[2].Header.Get("Authorization") != "" {
		t.Error("credentials were sent before the registry asked for any")
	}
}

type lookups struct {
	mu   sync.Mutex
	seen []string
	err  error
}

func (l *lookups) Lookup(_ context.Context, registry, repository string) (credential.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, registry+" "+repository)
	return credential.Credential{Username: "ann", Password: "pw"}, l.err
}

func TestCredentialsAreAskedOnceAndOnlyWhenNeeded(t *testing.T) {
	l := &lookups{}
	_, _, ref := setup(t, registrytest.Options{})
	if _, err := pullInto(t, newClient(t, Options{Credentials: l}), ref, newMemory(), PullOptions{}); err != nil || len(l.seen) != 0 {
		t.Errorf("an open registry: %v, asked %q", err, l.seen)
	}
	_, _, ref = setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	if _, err := pullInto(t, newClient(t, Options{Credentials: l}), ref, newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
	if want := []string{ref.Registry + " team/app"}; !slices.Equal(l.seen, want) {
		t.Errorf("asked %q, want %q", l.seen, want)
	}
	l.err = credential.ErrHelper
	if _, err := newClient(t, Options{Credentials: l}).Resolve(t.Context(), ref); !errors.Is(err, credential.ErrHelper) {
		t.Errorf("got %v, want the error of the helper", err)
	}
}

// TestH78_realm: where a challenge may send credentials.
func TestH78_realm(t *testing.T) {
	c := newClient(t, Options{})
	for _, tt := range []struct {
		registry, scheme, realm string
		ok                      bool
	}{
		{"r.example", "https", "https://auth.example/token", true},
		{"r.example", "https", "https://r.example/token", true},
		{"r.example", "https", "http://auth.example/token", false},
		{"r.example", "https", "https://user@auth.example/token", false},
		{"r.example", "https", "/token", false},
		{"r.example", "https", "ftp://auth.example/token", false},
		{"r.example", "https", "file:///etc/passwd", false},
		{"r.example", "https", "https://127.0.0.1/token", false},
		{"r.example", "https", "https://localhost/token", false},
		{"r.example", "https", "https://[::1]:8443/token", false},
		{"r.example", "https", "https://[::ffff:127.0.0.1]/token", false},
		{"r.example", "https", "https://169.254.169.254/latest", false},
		{"r.example", "https", "https://10.0.0.1/token", false},
		{"10.0.0.1:5000", "https", "https://10.0.0.2/token", true},
		{"10.0.0.1:5000", "https", "https://169.254.169.254/token", false},
		{"localhost:5000", "http", "http://localhost:5001/token", true},
		{"localhost:5000", "https", "http://localhost:5001/token", false},
		{"localhost:5000", "http", "http://auth.example/token", true},
	} {
		h := c.host(tt.registry)
		_, err := h.auth.realm(tt.realm, tt.scheme)
		if (err == nil) != tt.ok {
			t.Errorf("%s %s -> %s: got %v, want ok %v", tt.scheme, tt.registry, tt.realm, err, tt.ok)
		}
	}
}

func TestH78_realm_does_not_follow_redirects(t *testing.T) {
	leaked := make(chan string, 10)
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		leaked <- r.Header.Get("Authorization") + r.Form.Encode()
	}))
	defer evil.Close()
	realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL, http.StatusTemporaryRedirect)
	}))
	defer realm.Close()
	for _, cred := range []credential.Static{{Username: "ann", Password: "pw"}, {IdentityToken: "refresh"}} {
		s, _, ref := setup(t, registrytest.Options{})
		s.Inject(registrytest.Rule{Fault: registrytest.Status(401, "Www-Authenticate", `Bearer realm="`+realm.URL+`"`)})
		if _, err := newClient(t, Options{Credentials: cred}).Resolve(t.Context(), ref); err == nil {
			t.Error("no error")
		}
		select {
		case l := <-leaked:
			t.Errorf("the redirect was followed with %q", l)
		default:
		}
	}
}

func TestTokenServerLies(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"no token":     {200, `{}`, ErrProtocol},
		"no JSON":      {200, `<html>`, ErrProtocol},
		"bad header":   {200, `{"token":"a\r\nX-Evil: b"}`, ErrProtocol},
		"endless":      {200, `{"token":"` + strings.Repeat("a", maxTokenBody) + `"}`, ErrProtocol},
		"forbidden":    {403, ``, ErrUnauthorized},
		"failing":      {500, ``, ErrServer},
		"rate limited": {429, ``, ErrRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer realm.Close()
			s, _, ref := setup(t, registrytest.Options{})
			s.Inject(registrytest.Rule{Fault: registrytest.Status(401, "Www-Authenticate", `Bearer realm="`+realm.URL+`"`)})
			if _, err := newClient(t, Options{}).Resolve(t.Context(), ref); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseChallenges(t *testing.T) {
	for _, tt := range []struct {
		in   []string
		want string // scheme realm service scope of the one picked
	}{
		{[]string{`Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"`}, "bearer https://a/t s repository:x:pull,push"},
		{[]string{`Basic realm="r", Bearer realm="https://a/t", service=s`}, "bearer https://a/t s "},
		{[]string{`Basic realm="r"`, `Bearer realm="https://a/t"`}, "bearer https://a/t  "},
		{[]string{`BEARER Realm="https://a/t" , SERVICE = "with \"quotes\", and comma"`}, `bearer https://a/t with "quotes", and comma `},
		{[]string{`Negotiate, Basic realm="r"`}, "basic r  "},
		{[]string{`Bearer service="s"`}, ""}, // without a realm there is nowhere to ask
		{[]string{`Bearer realm="unfinished`}, ""},
		{[]string{`Basic`}, "basic   "},
		{[]string{`Negotiate YIIa/b+c==, Bearer realm="https://a/t"`}, "bearer https://a/t  "},
		{[]string{`Digest realm="x", qop="auth,auth-int", nonce="a/b", Basic realm="r"`}, "basic r  "},
		{[]string{``, `,,,`, `=`}, ""},
		{nil, ""},
	} {
		c, ok := pick(parseChallenges(tt.in))
		got := ""
		if ok {
			got = strings.Join([]string{c.scheme, c.params["realm"], c.params["service"], c.params["scope"]}, " ")
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"`)
	f.Add(`Basic realm=x, Bearer a="\"`)
	f.Fuzz(func(t *testing.T, s string) {
		list := parseChallenges([]string{s})
		if len(list) > len(s) {
			t.Fatalf("%d challenges in %d bytes", len(list), len(s))
		}
		for _, c := range list {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || len(c.params) > maxParams {
				t.Fatalf("%q: %+v", s, c)
			}
			// What was read can be written and read again.
			var b strings.Builder
			b.WriteString(c.scheme)
			for k, v := range c.params {
				b.WriteString(` ` + k + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `",`)
			}
			again := parseChallenges([]string{b.String()})
			if len(again) != 1 || len(again[0].params) != len(c.params) {
				t.Fatalf("%q: %+v, again %+v", s, c, again)
			}
			for k, v := range c.params {
				if again[0].params[k] != v {
					t.Fatalf("%q: %s is %q, again %q", s, k, v, again[0].params[k])
				}
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"token":"abc","expires_in":300}`))
	f.Add([]byte(`{"access_token":"abc","expires_in":1e300}`))
	f.Add([]byte(`{"access_token":"abc","issued_at":"2020-01-01T00:00:00Z","refresh_token":"r"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		now := time.Now()
		tok, err := decodeToken(tokenAnswer{raw: raw, asked: now, date: now})
		if err != nil {
			return
		}
		if tok.text == "" || strings.ContainsFunc(tok.text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q gives a token that no header may hold: %q", raw, tok.text)
		}
		if life := tok.expires.Sub(now); life < 0 || life > 24*time.Hour {
			t.Fatalf("%q gives a token of %s", raw, life)
		}
	})
}
