package distribution

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestWiderScope: a registry that wants more for a request than the specification says gets it, by 401
// and by 403, and is not asked in vain again.
func TestWiderScope(t *testing.T) {
	const wants = "repository:team/app:pull,push registry:catalog:*"
	for name, forbid := range map[string]bool{"401": false, "403": true} {
		t.Run(name, func(t *testing.T) {
			ts := registrytest.NewTokenServer(t)
			ts.Forbid = forbid
			strict := false
			ts.Scope = func(r *http.Request) string {
				if strict {
					return wants
				}
				return "repository:team/app:pull"
			}
			s, f := guarded(t, ts)
			c, ref := newClient(t, Options{}), mustRef(t, s.Host+"/team/app")
			if _, err := c.Resolve(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			strict = true
			s.Forget()
			for range 3 {
				if _, _, err := c.Manifest(t.Context(), ref, f.manifest); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{"GET repository:team/app:pull", "GET repository:team/app:pull repository:team/app:pull,push registry:catalog:*"}
			if got := ts.Log(); !slices.Equal(got, want) {
				t.Errorf("tokens: %q, want %q", got, want)
			}
			if n := len(s.Requests()); n != 4 {
				t.Errorf("%d requests, want 4: only the first is refused", n)
			}
		})
	}
}

// TestWiderScopeWithoutEnd: a registry that always wants more is asked a bounded number of times.
func TestWiderScopeWithoutEnd(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	n := 0
	ts.Scope = func(*http.Request) string {
		n++
		return fmt.Sprintf("repository:team/app%d:pull", n)
	}
	s, _ := guarded(t, ts)
	if _, err := newClient(t, Options{}).Resolve(t.Context(), mustRef(t, s.Host+"/team/app")); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("got %v, want ErrUnauthorized", err)
	}
	if got := len(s.Requests()); got != maxTries {
		t.Errorf("asked %d times, want %d", got, maxTries)
	}
}

// TestIdentityTokenRotates: an identity token that is spent with its first use is replaced, in this
// process and in the file that it came from.
func TestIdentityTokenRotates(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.RefreshToken, ts.Rotate = "nobody", "r", true
	s, f := guarded(t, ts)
	auth := filepath.Join(t.TempDir(), "auth.json")
	text := fmt.Sprintf(`{"auths":{%q:{"auth":"YW5uOg==","identitytoken":"r","email":"e"}},"other":true}`, s.Host)
	if err := os.WriteFile(auth, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.fill(t, s.Backend, "other/app")
	c := newClient(t, Options{Credentials: credential.New(credential.Options{File: auth})})
	for _, repo := range []string{"team/app", "other/app"} {
		if _, err := pullInto(t, c, mustRef(t, s.Host+"/"+repo), newMemory(), PullOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(auth)
	if err != nil || !strings.Contains(string(raw), `"r++"`) || !strings.Contains(string(raw), `"email": "e"`) || !strings.Contains(string(raw), `"other": true`) {
		t.Errorf("stored %s, %v", raw, err)
	}
	// Another process, later.
	if _, err := newClient(t, Options{Credentials: credential.New(credential.Options{File: auth})}).Resolve(t.Context(), mustRef(t, s.Host+"/team/app")); err != nil {
		t.Error(err)
	}
	// One given on the command line is kept for this process only.
	c = newClient(t, Options{Credentials: credential.Static{IdentityToken: "r+++"}})
	for _, repo := range []string{"team/app", "other/app"} {
		if _, err := c.Resolve(t.Context(), mustRef(t, s.Host+"/"+repo)); err != nil {
			t.Error(err)
		}
	}
}

// TestIdentityTokenOfAnotherProcess: one that another process has spent is read again.
func TestIdentityTokenOfAnotherProcess(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.RefreshToken, ts.Rotate = "nobody", "r", true
	s, f := guarded(t, ts)
	f.fill(t, s.Backend, "other/app")
	auth := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(auth, fmt.Appendf(nil, `{"auths":{%q:{"auth":"YW5uOg==","identitytoken":"r"}}}`, s.Host), 0o600); err != nil {
		t.Fatal(err)
	}
	client := func() *Client {
		return newClient(t, Options{Credentials: credential.New(credential.Options{File: auth})})
	}
	a, b := client(), client()
	for _, step := range []struct {
		c    *Client
		repo string
	}{{a, "team/app"}, {b, "team/app"}, {a, "other/app"}, {b, "other/app"}} {
		if _, err := step.c.Resolve(t.Context(), mustRef(t, s.Host+"/"+step.repo)); err != nil {
			t.Fatalf("%s: %v", step.repo, err)
		}
	}
}

// TestRegistryTokenWithoutTokenServer: a token that is given is sent whatever the registry calls it.
func TestRegistryTokenWithoutTokenServer(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{Auth: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer mine" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Www-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
	}})
	if _, err := newClient(t, Options{Credentials: credential.Static{RegistryToken: "mine"}}).Resolve(t.Context(), ref); err != nil {
		t.Error(err)
	}
	s.Forget()
	if _, err := newClient(t, Options{Credentials: credential.Static{RegistryToken: "other"}}).Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) || len(s.Requests()) != 2 {
		t.Errorf("another: %v after %d requests", err, len(s.Requests()))
	}
}

// TestTokenLife: what counts is our clock, and how old the server's own clocks say that a token is.
func TestTokenLife(t *testing.T) {
	asked := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	date := asked.Add(-48 * time.Hour) // a server whose clock is wrong by two days
	at := func(d time.Duration) string { return date.Add(d).Format(time.RFC3339) }
	for name, tt := range map[string]struct {
		body string
		date time.Time
		want time.Duration
	}{
		"no life":                   {`{"token":"t"}`, date, 54 * time.Second},
		"issued now":                {`{"token":"t","expires_in":300,"issued_at":"` + at(0) + `"}`, date, 270 * time.Second},
		"issued a minute ago":       {`{"token":"t","expires_in":300,"issued_at":"` + at(-time.Minute) + `"}`, date, 210 * time.Second},
		"issued in the future":      {`{"token":"t","expires_in":300,"issued_at":"` + at(time.Hour) + `"}`, date, 270 * time.Second},
		"issued long ago":           {`{"token":"t","expires_in":300,"issued_at":"` + at(-time.Hour) + `"}`, date, 0},
		"a server without a clock":  {`{"token":"t","expires_in":300,"issued_at":"2001-01-01T00:00:00Z"}`, time.Time{}, 270 * time.Second},
		"issued when is not a time": {`{"token":"t","expires_in":300,"issued_at":"yesterday"}`, date, 270 * time.Second},
		"negative":                  {`{"token":"t","expires_in":-5}`, date, 54 * time.Second},
		"a year":                    {`{"token":"t","expires_in":31536000}`, date, 24 * time.Hour * 9 / 10},
	} {
		tok, err := decodeToken(tokenAnswer{raw: []byte(tt.body), asked: asked, date: tt.date})
		if got := tok.expires.Sub(asked); err != nil || got != tt.want {
			t.Errorf("%s: lives %s, %v, want %s", name, got, err, tt.want)
		}
	}
}
