package distribution

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// framingClaims are answers whose frame is wrong: what HTTP itself is made of.
func framingClaims() []claim {
	ok := "HTTP/1.1 200 OK\r\n"
	say := func(name string, want error, text func(rec *httptest.ResponseRecorder, head, body string) string) claim {
		return claim{name: name, want: want, rule: registrytest.Rule{Fault: wire(func(rec *httptest.ResponseRecorder) string {
			return text(rec, lines(rec, "Content-Length"), rec.Body.String())
		})}}
	}
	length := func(name, value string, want error) claim {
		return say(name, want, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + strings.ReplaceAll(value, "N", fmt.Sprint(len(body))) + "\r\n\r\n" + body
		})
	}
	return []claim{
		length("Content-Length negative", "Content-Length: -5", ErrNetwork),
		length("Content-Length no number", "Content-Length: abc", ErrNetwork),
		length("Content-Length over int64", "Content-Length: 99999999999999999999", ErrNetwork),
		length("Content-Length hexadecimal", "Content-Length: 0x10", ErrNetwork),
		length("Content-Length twice, different", "Content-Length: N\r\nContent-Length: 1", ErrNetwork),
		length("Content-Length twice, the same", "Content-Length: N\r\nContent-Length: N", nil),
		length("Content-Length and chunked", "Content-Length: N\r\nTransfer-Encoding: chunked", ErrNetwork),
		length("Content-Length absent", "X: y", nil), // the body ends with the connection
		length("Content-Length huge", "Content-Length: 9223372036854775807", errAny),
		length("Content-Length one short", "Content-Length: 1", image.ErrSizeMismatch),
		length("Content-Length nothing", "Content-Length: 0", image.ErrSizeMismatch),
		length("transfer encoding unknown", "Transfer-Encoding: gzip, chunked", ErrNetwork),
		say("HTTP/1.0", nil, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/1.0 200 OK\r\n" + head + "\r\n" + body
		}),
		say("HTTP/9.9", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/9.9 200 OK\r\n" + head + "\r\n" + body
		}),
		say("no HTTP", ErrNetwork, func(*httptest.ResponseRecorder, string, string) string { return "SSH-2.0-OpenSSH_9.2\r\n" }),
		say("nothing", ErrNetwork, func(*httptest.ResponseRecorder, string, string) string { return "" }),
		say("a status that is none", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/1.1 abc\r\n" + head + "\r\n" + body
		}),
		say("early hints", nil, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/1.1 103 Early Hints\r\nLink: <http://x/>; rel=preload\r\n\r\n" + ok + head + "\r\n" + body
		}),
		say("hints without end", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("y", 1000)+"\r\n\r\n", 20_000) + ok + head + "\r\n" + body
		}),
		say("100 Continue that nobody waits for", nil, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/1.1 100 Continue\r\n\r\n" + ok + head + "\r\n" + body
		}),
		say("101 Switching Protocols", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n" + head + "\r\n" + body
		}),
		say("a header of 1 MiB", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + "X: " + strings.Repeat("y", 1<<20) + "\r\n" + head + "\r\n" + body
		}),
		say("100,000 headers", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + strings.Repeat("X-A: b\r\n", 100_000) + head + "\r\n" + body
		}),
		say("a header without a colon", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + "nonsense\r\n" + head + "\r\n" + body
		}),
		say("a folded header", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + "X: a\r\n b\r\n" + head + "\r\n" + body
		}),
		say("a NUL in a header", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + "X: a\x00b\r\n" + head + "\r\n" + body
		}),
		say("chunks", nil, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 1, body[:1], len(body)-1, body[1:])
		}),
		say("chunks without the last", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}),
		say("a chunk size that is none", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body
		}),
		say("a chunk size over int64", ErrNetwork, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + body
		}),
		say("chunk extensions of 1 MiB", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x;%s\r\n%s\r\n0\r\n\r\n", len(body), strings.Repeat("x", 1<<20), body)
		}),
		say("chunks of one byte each with an extension", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			var b strings.Builder
			for i := range min(len(body), 2000) {
				fmt.Fprintf(&b, "1;%s\r\n%c\r\n", strings.Repeat("x", 100), body[i])
			}
			return ok + head + "Transfer-Encoding: chunked\r\n\r\n" + b.String() + "0\r\n\r\n"
		}),
		say("a trailer that says another digest", nil, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + "Transfer-Encoding: chunked\r\nTrailer: Docker-Content-Digest\r\n\r\n" +
				fmt.Sprintf("%x\r\n%s\r\n0\r\nDocker-Content-Digest: sha256:0\r\n\r\n", len(body), body)
		}),
		// Seen before the next request, it costs the connection; seen after, it is the answer to that, and its digest is wrong.
		say("a second answer behind the first", errAny, func(_ *httptest.ResponseRecorder, head, body string) string {
			return ok + head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body + ok + "Content-Length: 3\r\n\r\nbad"
		}),
	}
}

// statusClaims are statuses, with what comes with them.
func statusClaims(stranger, digest string) []claim {
	status := func(name string, want error, code int, header ...string) claim {
		return claim{name: name, want: want, rule: registrytest.Rule{Fault: registrytest.Status(code, header...)}}
	}
	long := []claim{
		{name: "404 without end", want: ErrNotFound, rule: registrytest.Rule{Fault: endless(404)}},
		{name: "401 without end", want: ErrUnauthorized, rule: registrytest.Rule{Fault: endless(401, "Www-Authenticate", `Basic realm="x"`)}},
		{name: "403 without end", want: ErrUnauthorized, rule: registrytest.Rule{Fault: endless(403)}},
		{name: "429 without end", want: ErrRateLimited, rule: registrytest.Rule{Fault: endless(429)}},
		{name: "500 without end", want: ErrServer, rule: registrytest.Rule{Fault: endless(500)}},
		{name: "200 without end", want: image.ErrSizeMismatch, rule: registrytest.Rule{Fault: endless(200, "Content-Type", ispec.MediaTypeImageManifest)}},
	}
	return append(long,
		status("203", ErrProtocol, 203), status("204", ErrProtocol, 204), status("205", ErrProtocol, 205), status("206", ErrProtocol, 206),
		status("226", ErrProtocol, 226), status("201", ErrProtocol, 201), status("202", ErrProtocol, 202),
		status("300", ErrProtocol, 300, "Location", stranger+"/x"), status("304", ErrProtocol, 304), status("305", ErrProtocol, 305, "Location", stranger+"/x"),
		status("402", errAny, 402), status("410", errAny, 410), status("416", errAny, 416, "Content-Range", "bytes */-1"), status("418", errAny, 418),
		status("451", errAny, 451), status("511", ErrServer, 511), status("599", ErrServer, 599), status("999", errAny, 999),
		status("429, -1", ErrRateLimited, 429, "Retry-After", "-1"),
		status("429, a year", ErrRateLimited, 429, "Retry-After", "31536000"),
		status("429, over uint32", ErrRateLimited, 429, "Retry-After", "99999999999999999999"),
		status("429, 1970", ErrRateLimited, 429, "Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"),
		status("429, 9999", ErrRateLimited, 429, "Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
		status("503, no date", ErrServer, 503, "Retry-After", "soon"),
		status("401 without a challenge", ErrUnauthorized, 401),
		status("401, no scheme", ErrUnauthorized, 401, "Www-Authenticate", "="),
		status("401, an unknown scheme", ErrUnauthorized, 401, "Www-Authenticate", "Negotiate abc"),
		status("401, a realm that is no URL", ErrProtocol, 401, "Www-Authenticate", `Bearer realm="::"`),
		status("401, a realm that is a file", errAny, 401, "Www-Authenticate", `Bearer realm="file:///etc/passwd"`),
		status("401, a realm with a password", ErrProtocol, 401, "Www-Authenticate", `Bearer realm="http://u:p@127.0.0.1:1/"`),
		status("401, a realm of 100 kB", ErrProtocol, 401, "Www-Authenticate", `Bearer realm="http://`+strings.Repeat("a", 100_000)+`/"`),
		status("401, 1,000 challenges", ErrUnauthorized, 401, "Www-Authenticate", strings.Repeat("X a=b, ", 1000)),
		status("401, Basic again", ErrUnauthorized, 401, "Www-Authenticate", `Basic realm="another"`),
		status("redirect to a stranger", nil, 307, "Location", stranger+"/v2/x/blobs/"+digest),
		status("redirect to nowhere", errAny, 307),
		status("redirect that is no URL", errAny, 307, "Location", "http://[::1"),
		status("redirect to a file", ErrProtocol, 307, "Location", "file:///etc/passwd"),
		status("redirect to a script", ErrProtocol, 307, "Location", "javascript:alert(1)"),
		status("redirect to a password", ErrProtocol, 307, "Location", strings.Replace(stranger, "http://", "http://u:p@", 1)+"/x"),
		status("redirect to itself", ErrProtocol, 307, "Location", "?"),
		status("redirect to a host of 100 kB", ErrProtocol, 307, "Location", "http://"+strings.Repeat("a", 100_000)+"/"),
		status("redirect of 100 kB", errAny, 307, "Location", "/"+strings.Repeat("a", 100_000)),
		status("redirect with a line break", errAny, 307, "Location", "/x\r\nX-Evil: y"),
	)
}

func TestLies_framing(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/manifests/" + f.manifest.Digest.String(), "/blobs/" + f.layers[2].Digest.String()} {
		for i, c := range framingClaims() {
			t.Run(path[:strings.Index(path, "sha256")]+c.name, func(t *testing.T) {
				k := newCourt(t)
				c := framingClaims()[i]
				c.rule.Method, c.rule.Path = http.MethodGet, path
				k.pulls(c)
			})
		}
	}
}

func TestLies_statuses(t *testing.T) {
	f := newFixture(t)
	for _, d := range []ispec.Descriptor{f.manifest, f.layers[2]} {
		path := "/blobs/" + d.Digest.String()
		if d.Digest == f.manifest.Digest {
			path = "/manifests/" + d.Digest.String()
		}
		for i, c := range statusClaims("", "") {
			t.Run(path[:strings.Index(path, "sha256")]+c.name, func(t *testing.T) {
				k := newCourt(t)
				c := statusClaims(k.stranger.URL, d.Digest.String())[i]
				c.rule.Method, c.rule.Path = http.MethodGet, path
				k.pulls(c)
			})
		}
	}
}

// TestH79_authorization_stays_at_home: it goes on to the same scheme, host and port, and nowhere else: not
// to another port, not over a chain that comes back, and from https to http nothing goes at all.
func TestH79_authorization_stays_at_home(t *testing.T) {
	k := newCourt(t)
	path := "/blobs/" + k.f.layers[2].Digest.String()
	hops := 0
	k.pulls(claim{rule: registrytest.Rule{Path: path, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch hops++; hops {
		case 1:
			http.Redirect(w, r, r.URL.Path+"?here=1", http.StatusTemporaryRedirect)
		case 2:
			if r.Header.Get("Authorization") == "" || r.URL.RawQuery != "here=1" {
				t.Errorf("a redirect on the same host lost its Authorization: %v", r.Header)
			}
			http.Redirect(w, r, k.stranger.URL+"/v2/x/blobs/"+k.f.layers[2].Digest.String(), http.StatusFound)
		default:
			next.ServeHTTP(w, r)
		}
	}}})
	if hops != 2 {
		t.Errorf("%d hops", hops)
	}
	f := newFixture(t)
	leaked := 0
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked++
		_, _ = w.Write(f.store.blobs[f.layers[2].Digest])
	}))
	defer plain.Close()
	s := registrytest.New(t, registrytest.Options{TLS: true, Auth: registrytest.Basic("ann", "pw")})
	f.fill(t, s.Backend, "team/app")
	s.Inject(registrytest.Rule{Path: "/blobs/" + f.layers[2].Digest.String(), Fault: registrytest.Redirect(plain.URL)})
	c := newClient(t, Options{TLS: pool(s), Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, mustRef(t, s.Host+"/team/app"), newMemory(), PullOptions{}); !errors.Is(err, ErrInsecure) {
		t.Errorf("from https to http: %v", err)
	}
	if leaked != 0 {
		t.Errorf("%d requests went over plain http", leaked)
	}
}
