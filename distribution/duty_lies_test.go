package distribution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// The tests of this file and of the duty_lies_*_test.go beside it are one table: every header and every
// part of a body of the distribution API that the client reads, each with answers that are not true.
// Whatever the answer, these hold (see court.judge):
//
//   - the store holds nothing but what its digest proves, and if no error is given all that was wanted;
//   - no host but the one that was asked sees a credential, and none gets a cookie back;
//   - it ends in bounded time, over a bounded number of requests and with bounded memory;
//   - an error is of a kind.

// errAny is what a lie may end in that need not be a failure, nor a success.
var errAny = errors.New("any end")

// A claim is one answer that is not true.
type claim struct {
	name string
	rule registrytest.Rule
	want error // nil: it does no harm; errAny: either
}

// court is a registry that wants a password, and a host that nobody asks for anything.
type court struct {
	*registrytest.Server
	t        *testing.T
	f        *fixture
	stranger *httptest.Server
	sent     atomic.Int64  // bytes that the registry's answers had
	name     string        // what the registry is called, if not by its address
	tune     func(*Client) // may be nil

	mu     sync.Mutex
	leaked []string
}

const (
	courtUser, courtSecret = "ann", "correct horse"
	maxAsked               = 200       // requests of one operation
	maxSent                = 64 << 20  // bytes that are taken of answers
	maxAllocated           = 192 << 20 // bytes of memory, the registry's in the same process included
)

func newCourt(t *testing.T) *court {
	t.Helper()
	k := &court{t: t, f: newFixture(t)}
	k.Server = registrytest.New(t, registrytest.Options{Auth: func(next http.Handler) http.Handler {
		guarded := registrytest.Basic(courtUser, courtSecret)(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") != "" {
				k.leak("a cookie to the registry")
			}
			guarded.ServeHTTP(&counting{w, &k.sent}, r)
		})
	}})
	k.name = k.Host
	k.f.fill(t, k.Backend, "team/app")
	k.stranger = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if text := strings.Join(values, " "); name == "Authorization" || name == "Cookie" || name == "Referer" || strings.Contains(text, "horse") {
				k.leak(name + " to a stranger")
			}
		}
		if strings.Contains(r.URL.String(), "horse") || r.URL.User != nil {
			k.leak("a password in a URL")
		}
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if bytes.Contains(body, []byte("horse")) {
			k.leak("a password in a body")
		}
		if d := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; r.Method == http.MethodGet {
			for name, raw := range k.f.store.blobs {
				if name.String() == d {
					_, _ = w.Write(raw)
					return
				}
			}
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(k.stranger.Close)
	return k
}

func (k *court) leak(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaked = append(k.leaked, what)
}

// counting counts what is written. It hands the connection on, for faults that speak for themselves.
type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counting) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// judge runs one operation against a registry that lies, and proves that what must hold does.
func (k *court) judge(c claim, run func(ctx context.Context, client *Client) error) error {
	t := k.t
	t.Helper()
	k.Inject(c.rule)
	o := Options{
		Credentials: credential.Static{Username: courtUser, Password: courtSecret},
		Retry:       Retry{Attempts: 3, Base: time.Millisecond, Max: 2 * time.Millisecond, Budget: time.Second},
		IdleTimeout: 5 * time.Second,
	}
	if k.name != k.Host {
		o.Insecure, o.Dial = true, dialTo(k.Host)
	}
	client := newClient(t, o)
	if k.tune != nil {
		k.tune(client)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	err := run(ctx, client)
	goruntime.ReadMemStats(&after)
	switch {
	case c.want == errAny: //nolint:errorlint // the table's own value
	case c.want == nil && err != nil:
		t.Errorf("it does no harm, and gives %v", err)
	case !errors.Is(err, c.want):
		t.Errorf("got %v, want %v", err, c.want)
	}
	if err != nil {
		typed(t, err)
		if len(err.Error()) > 4096 || strings.ContainsAny(err.Error(), "\x1b\r\n\x00") {
			t.Errorf("the text of the error: %.200q", err.Error())
		}
		if strings.Contains(err.Error(), "horse") {
			t.Error("the error holds the password")
		}
	}
	if ctx.Err() != nil {
		t.Error("it did not end")
	}
	if n := len(k.Requests()); n > maxAsked {
		t.Errorf("%d requests", n)
	}
	if n := k.sent.Load(); n > maxSent {
		t.Errorf("%d bytes were taken", n)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > maxAllocated {
		t.Errorf("%d MiB were allocated", n>>20)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, what := range k.leaked {
		t.Errorf("leaked: %s", what)
	}
	return err
}

// pulls judges a pull of the whole image.
func (k *court) pulls(c claim) {
	k.t.Helper()
	m := newMemory()
	err := k.judge(c, func(ctx context.Context, client *Client) error {
		_, err := client.Pull(ctx, mustRef(k.t, k.name+"/team/app:latest"), m, PullOptions{Platform: testPlatform()})
		return err
	})
	proved(k.t, m)
	if m.open != 0 {
		k.t.Errorf("%d ingests were left open", m.open)
	}
	if err != nil {
		return
	}
	for _, d := range append([]ispec.Descriptor{k.f.index, k.f.manifest, k.f.config}, k.f.layers...) {
		if !bytes.Equal(m.blobs[d.Digest], k.f.store.blobs[d.Digest]) {
			k.t.Errorf("no error, and %s %s is not there", d.MediaType, d.Digest)
		}
	}
}

// wire gives a fault that writes its own answer on the connection, and closes it.
func wire(text func(rec *httptest.ResponseRecorder) string) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close() //nolint:errcheck // a test
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, text(rec))
	}
}

// lines gives the header lines of an answer but for those left out.
func lines(rec *httptest.ResponseRecorder, without ...string) string {
	var b strings.Builder
	for k, v := range rec.Header() {
		for _, w := range without {
			if strings.EqualFold(k, w) {
				v = nil
			}
		}
		for _, one := range v {
			fmt.Fprintf(&b, "%s: %s\r\n", k, one)
		}
	}
	return b.String()
}

// endless gives an answer of a status whose body never ends.
func endless(status int, header ...string) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		for junk := bytes.Repeat([]byte("x"), 32<<10); r.Context().Err() == nil; {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	}
}

// headerClaims are headers that say what is not so, on an answer that is right otherwise.
func headerClaims(kind, stranger string) []claim {
	manifest := kind == "manifest"
	pick := func(forManifest, forBlob error) error {
		if manifest {
			return forManifest
		}
		return forBlob
	}
	var list []claim
	for _, h := range []struct {
		name, value string
		want        error
	}{
		{"Content-Type", "text/html", pick(image.ErrMediaType, nil)},
		{"Content-Type", ";;;", pick(errAny, nil)},
		{"Content-Type", strings.Repeat("a", 10_000) + "/b", pick(image.ErrMediaType, nil)},
		{"Content-Encoding", "gzip", nil}, // nobody asked for it: the bytes are what they are
		{"Content-Encoding", "zstd, br, x", nil},
		{"Content-Range", "bytes 5-9/10", nil}, // on a 200 it says nothing
		{"Content-Range", "bytes 0-99999999999999999999/1", nil},
		{"Docker-Content-Digest", "sha256:" + strings.Repeat("0", 64), image.ErrDigestMismatch},
		{"Docker-Content-Digest", "sha256:../../etc/passwd", pick(image.ErrDigestInvalid, nil)},
		{"Docker-Content-Digest", "md5:d41d8cd98f00b204e9800998ecf8427e", nil},
		{"Docker-Content-Digest", strings.Repeat("x", 100_000), pick(image.ErrDigestInvalid, nil)},
		{"Etag", `"of something else"`, nil},
		{"Accept-Ranges", "none", nil},
		{"Set-Cookie", "session=1; Domain=127.0.0.1; Path=/", nil},
		{"Location", stranger + "/x", nil}, // on a 200 it leads nowhere
		{"Link", "<" + stranger + `/x>; rel="next"`, nil},
		{"Www-Authenticate", `Bearer realm="` + stranger + `/token"`, nil}, // on a 200 nothing is asked for
		{"Retry-After", "999999999", nil},
		{"Warning", `299 - "` + strings.Repeat("x", 5000) + `"`, nil},
		{"Warning", "299 - \"\\x1b[2J\"", nil},
		{"Alt-Svc", `h2="evil.example:443"; ma=86400`, nil},
		{"Strict-Transport-Security", "max-age=31536000", nil},
		{"Refresh", "0; url=" + stranger, nil},
		{"Trailer", "Docker-Content-Digest", nil},
		{"Connection", "upgrade", nil},
		{"Upgrade", "h2c", nil},
		{"Oci-Subject", "sha256:x", nil},
		{"Oci-Filters-Applied", "everything", nil},
		{"Oci-Chunk-Min-Length", "-1", nil},
		{"Ratelimit-Limit", "-99999999999999999999;w=x", nil},
	} {
		list = append(list, claim{name: h.name + " " + fmt.Sprintf("%.30q", h.value), rule: registrytest.Rule{Fault: registrytest.Header(h.name, h.value)}, want: h.want})
	}
	return list
}

// TestLies_headers: of an answer that is right, for the tag, the manifest, the config and a layer.
func TestLies_headers(t *testing.T) {
	f := newFixture(t)
	for _, at := range []struct{ kind, method, path string }{
		{"tag", "", "/manifests/latest"},
		{"manifest", http.MethodGet, "/manifests/" + f.manifest.Digest.String()},
		{"blob", http.MethodGet, "/blobs/" + f.config.Digest.String()},
		{"blob", http.MethodGet, "/blobs/" + f.layers[1].Digest.String()},
	} {
		for i, c := range headerClaims(at.kind, "") {
			t.Run(at.kind+" "+at.path[:12]+c.name, func(t *testing.T) {
				k := newCourt(t)
				c := headerClaims(at.kind, k.stranger.URL)[i]
				if at.kind == "tag" && c.name[:4] != "Cont" && c.name[:4] != "Dock" {
					c.want = nil
				} else if at.kind == "tag" {
					c.want = errAny // whether it is read depends on how a tag is asked for
				}
				c.rule.Method, c.rule.Path = at.method, at.path
				k.pulls(c)
			})
		}
	}
}
