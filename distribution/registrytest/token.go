package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TokenServer issues bearer tokens by GET and by OAuth2 POST, and guards a registry with them.
type TokenServer struct {
	// URL is the realm.
	URL string
	// Username and Password are what a GET must bring; "" lets anonymous clients in.
	Username, Password string
	// RefreshToken is what a POST must bring, or gets for user and password; "" refuses POST.
	RefreshToken string
	// Signer makes the tokens; nil makes tokens that only Guard knows.
	Signer *Signer
	// Rotate gives another RefreshToken with every answer to the one before, which is spent then.
	Rotate bool
	// ExpiresIn is what answers say, in seconds; 0 leaves it out.
	ExpiresIn int
	// Scope says what Guard wants for a request; nil is what the request touches.
	Scope func(*http.Request) string
	// Forbid has Guard answer 403 to a token for too little, as RFC 6750 has it, and not 401.
	Forbid bool

	mu     sync.Mutex
	issued map[string]string // token to scopes
	log    []string          // "GET scope scope", "POST scope"
}

// NewTokenServer starts a token server on a loopback port. It ends with the test.
func NewTokenServer(t testing.TB) *TokenServer {
	t.Helper()
	ts := &TokenServer{issued: map[string]string{}}
	hs := httptest.NewServer(ts)
	t.Cleanup(hs.Close)
	ts.URL = hs.URL + "/token"
	return ts
}

// Log tells what has been asked: the method, then the scopes.
func (ts *TokenServer) Log() []string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return append([]string(nil), ts.log...)
}

// Revoke makes every token issued so far invalid.
func (ts *TokenServer) Revoke() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.issued = map[string]string{}
}

// ServeHTTP issues a token.
func (ts *TokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	scopes, err := ts.check(r)
	ts.log = append(ts.log, strings.TrimSpace(r.Method+" "+scopes))
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := fmt.Sprintf("token-%d", len(ts.log))
	if ts.Signer != nil {
		if token, err = ts.Signer.token(scopes, 5*time.Minute); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	ts.issued[token] = scopes
	answer := map[string]any{"token": token}
	if r.Method == http.MethodPost {
		answer = map[string]any{"access_token": token}
		if ts.Rotate {
			ts.RefreshToken += "+"
		}
		if ts.Rotate || r.PostForm.Get("access_type") == "offline" {
			answer["refresh_token"] = ts.RefreshToken
		}
	}
	if ts.ExpiresIn != 0 {
		answer["expires_in"] = ts.ExpiresIn
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (ts *TokenServer) check(r *http.Request) (scopes string, err error) {
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			return "", err
		}
		scopes = r.PostForm.Get("scope")
		if r.PostForm.Get("grant_type") == "password" && ts.RefreshToken != "" &&
			r.PostForm.Get("username") == ts.Username && r.PostForm.Get("password") == ts.Password {
			return scopes, nil
		}
		if ts.RefreshToken == "" || r.PostForm.Get("refresh_token") != ts.RefreshToken ||
			r.PostForm.Get("grant_type") != "refresh_token" || r.PostForm.Get("client_id") == "" {
			return scopes, errRefused
		}
		return scopes, nil
	}
	scopes = strings.Join(r.URL.Query()["scope"], " ")
	user, pass, _ := r.BasicAuth()
	if ts.Username != "" && (user != ts.Username || pass != ts.Password) {
		return scopes, errRefused
	}
	return scopes, nil
}

// Guard lets only requests through that bring a token of ts for the repository they touch.
func (ts *TokenServer) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope := scopeOf(r)
		if ts.Scope != nil {
			scope = ts.Scope(r)
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		ts.mu.Lock()
		granted, ok := ts.issued[token]
		ts.mu.Unlock()
		if ok && covers(granted, scope) {
			next.ServeHTTP(w, r)
			return
		}
		challenge := fmt.Sprintf(`Bearer realm="%s",service="test, registry"`, ts.URL)
		if scope != "" {
			challenge += fmt.Sprintf(`,scope="%s"`, scope)
		}
		status := http.StatusUnauthorized
		switch {
		case ok && ts.Forbid:
			status = http.StatusForbidden
			challenge += `,error="insufficient_scope"`
		case ok:
			challenge += `,error="insufficient_scope"`
		case token != "":
			challenge += `,error="invalid_token"`
		}
		w.Header().Set("Www-Authenticate", challenge)
		Status(status)(w, r, next)
	})
}

// scopeOf is the scope that a request needs, "" for the base path.
func scopeOf(r *http.Request) string {
	rest := strings.TrimPrefix(r.URL.Path, "/v2/")
	for _, mark := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if i := strings.LastIndex(rest, mark); i > 0 {
			action := "pull"
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				action = "pull,push"
			}
			return "repository:" + rest[:i] + ":" + action
		}
	}
	return ""
}

// covers tells whether the scopes granted hold every one that is wanted.
func covers(granted, want string) bool {
	for w := range strings.FieldsSeq(want) {
		name, actions := w[:strings.LastIndex(w, ":")], w[strings.LastIndex(w, ":")+1:]
		ok := false
		for g := range strings.FieldsSeq(granted) {
			rest, same := strings.CutPrefix(g, name+":")
			ok = ok || same && (rest == actions || strings.Contains(","+rest+",", ","+actions+",") || rest == "*")
		}
		if !ok {
			return false
		}
	}
	return true
}

// Basic gives a guard that asks for this user and password on every request.
func Basic(user, pass string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u, p, ok := r.BasicAuth()
			if ok && u == user && p == pass {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Www-Authenticate", `Basic realm="test"`)
			Status(http.StatusUnauthorized)(w, r, next)
		})
	}
}
