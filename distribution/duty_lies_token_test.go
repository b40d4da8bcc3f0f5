package distribution

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// tokenClaims are what a token server may answer that is no token, or says what is not so of one.
func tokenClaims(stranger string) []struct {
	name string
	say  http.HandlerFunc
	want error
} {
	type answer = struct {
		name string
		say  http.HandlerFunc
		want error
	}
	text := func(name string, want error, body string, header ...string) answer {
		return answer{name, func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			_, _ = w.Write([]byte(body))
		}, want}
	}
	status := func(name string, want error, code int, header ...string) answer {
		return answer{name, func(w http.ResponseWriter, r *http.Request) { registrytest.Status(code, header...)(w, r, nil) }, want}
	}
	return []answer{
		text("nothing", ErrProtocol, ""), text("null", ErrProtocol, "null"), text("a list", ErrProtocol, "[]"), text("html", ErrProtocol, "<html>", "Content-Type", "text/html"),
		text("a number", ErrProtocol, `{"token":7}`), text("empty", ErrProtocol, `{"token":"","access_token":""}`),
		text("a line break", ErrProtocol, `{"token":"a\r\nX-Evil: b"}`), text("a space", ErrProtocol, `{"token":"a b"}`), text("a control", ErrProtocol, `{"token":"a\u0000"}`),
		text("2 MiB", ErrProtocol, `{"token":"`+strings.Repeat("a", 2<<20)+`"}`),
		text("1 MiB less a bit", errAny, `{"token":"`+strings.Repeat("a", 1<<20-20)+`"}`),
		text("deep", ErrProtocol, strings.Repeat("[", 100_000)),
		text("a life of for ever", ErrUnauthorized, `{"token":"x","expires_in":1e308}`), // the registry wants none of these tokens
		text("a life of text", errAny, `{"token":"x","expires_in":"300"}`),
		text("a life that is over", ErrUnauthorized, `{"token":"x","expires_in":-1}`),
		text("issued in the year 9999", ErrUnauthorized, `{"token":"x","issued_at":"9999-12-31T23:59:59Z","expires_in":60}`),
		text("issued before", ErrUnauthorized, `{"token":"x","issued_at":"1970-01-01T00:00:00Z","expires_in":60}`),
		text("issued at no time", errAny, `{"token":"x","issued_at":"soon"}`),
		text("a cookie", ErrUnauthorized, `{"token":"x"}`, "Set-Cookie", "a=b; Domain=127.0.0.1"),
		text("gzip", errAny, "\x1f\x8b\x08", "Content-Encoding", "gzip"),
		text("another refresh token", ErrUnauthorized, `{"token":"x","refresh_token":"stolen"}`),
		status("a redirect to a stranger", errAny, 307, "Location", stranger+"/token"),
		status("a redirect to itself", errAny, 308, "Location", "?"),
		status("a challenge to a stranger", ErrUnauthorized, 401, "Www-Authenticate", `Bearer realm="`+stranger+`/token"`),
		status("a challenge for a password", ErrUnauthorized, 401, "Www-Authenticate", `Basic realm="x"`),
		status("201", errAny, 201), status("204", errAny, 204), status("404", ErrNotFound, 404), status("500", ErrServer, 500),
		status("429, a year", ErrRateLimited, 429, "Retry-After", "31536000"), status("429, 9999", ErrRateLimited, 429, "Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
		{"without end", func(w http.ResponseWriter, r *http.Request) { endless(200)(w, r, nil) }, ErrProtocol},
		{"an error without end", func(w http.ResponseWriter, r *http.Request) { endless(403)(w, r, nil) }, ErrUnauthorized},
		{"nothing at all", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrNetwork},
	}
}

// TestLies_tokens: the server that a registry sends us to for a token, and to which the password goes, sends
// it nowhere else; and nothing that it says keeps the client busy.
func TestLies_tokens(t *testing.T) {
	for i, c := range tokenClaims("") {
		t.Run(c.name, func(t *testing.T) {
			k := newCourt(t)
			c := tokenClaims(k.stranger.URL)[i]
			var asked atomic.Int32
			realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); r.Header.Get("Cookie") != "" {
					k.leak("a cookie to the token server")
				}
				c.say(&counting{w, &k.sent}, r)
			}))
			defer realm.Close()
			k.pulls(claim{want: c.want, rule: registrytest.Rule{Fault: registrytest.Status(http.StatusUnauthorized, "Www-Authenticate", `Bearer realm="`+realm.URL+`/token",service="s"`)}})
			if n := asked.Load(); n == 0 || n > 20 {
				t.Errorf("the token server was asked %d times", n)
			}
		})
	}
	t.Run("a challenge with every answer", func(t *testing.T) {
		k := newCourt(t)
		var n atomic.Int32
		_ = k.judge(claim{want: ErrUnauthorized, rule: registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			registrytest.Status(http.StatusUnauthorized, "Www-Authenticate", fmt.Sprintf(`Basic realm="%d"`, n.Add(1)))(w, r, next)
		}}}, func(ctx context.Context, c *Client) error {
			_, err := c.Resolve(ctx, mustRef(t, k.Host+"/team/app"))
			return err
		})
	})
}
