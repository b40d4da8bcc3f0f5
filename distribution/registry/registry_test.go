package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// call makes one request and gives the answer with its body read.
func call(t *testing.T, h http.Handler, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

func want(t *testing.T, resp *http.Response, status int, header ...string) {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if got := resp.Header.Get(header[i]); got != header[i+1] {
			t.Errorf("%s: %q, want %q", header[i], got, header[i+1])
		}
	}
}

// code gives the code of an error answer, and checks its form.
func code(t *testing.T, body string) string {
	t.Helper()
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Errors) != 1 || doc.Errors[0].Message == "" {
		t.Errorf("DS-22: not an error answer: %s", body)
		return ""
	}
	return doc.Errors[0].Code
}

// overBackends runs a test over each kind of backend.
func overBackends(t *testing.T, f func(t *testing.T, h *Handler)) {
	t.Helper()
	for name, b := range map[string]Backend{"memory": &Memory{}, "pool": NewPool(newContent(), nil)} {
		t.Run(name, func(t *testing.T) {
			h := New(b, Options{Writable: true, TempDir: t.TempDir()})
			t.Cleanup(func() { _ = h.Close() })
			f(t, h)
		})
	}
}

// shared tells that all repositories of h have one pool of content.
func shared(h *Handler) bool {
	_, ok := h.back.(*Pool)
	return ok
}

func putBlob(t *testing.T, h http.Handler, repo, body string) digest.Digest {
	t.Helper()
	d := digest.FromString(body)
	resp, text := call(t, h, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), body)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put blob: %d %s", resp.StatusCode, text)
	}
	return d
}

func manifestFor(config digest.Digest, size int, extra string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]%s}`,
		ispec.MediaTypeImageManifest, config, size, extra)
}

func TestPing(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		for _, p := range []string{"/v2/", "/v2"} {
			resp, _ := call(t, h, "GET", p, "")
			want(t, resp, 200, "Docker-Distribution-Api-Version", "registry/2.0")
		}
		for _, p := range []string{"/", "/v1/", "/v2x", "/v2/a", "/v2/a/b", "/v2/a/nothing/x"} {
			resp, _ := call(t, h, "GET", p, "")
			want(t, resp, 404)
		}
		resp, _ := call(t, h, "POST", "/v2/", "")
		want(t, resp, 405)
	})
}

func TestDC01_names(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "a/b": true, "a-b": true, "a--b": true, "a_b": true, "a__b": true, "a.b": true, "0/9": true,
		"a/tags": true, "a/manifests/b": true, "blobs": true, "uploads/blobs": true,
		"": false, "A": false, "a___b": false, "a..b": false, "a._b": false, "-a": false, "a-": false, "/a": false, "a/": false,
		"a//b": false, "a/../b": false, "..": false, ".": false, "a b": false, "a%2fb": false, "é": false,
		strings.Repeat("a", 255): true, strings.Repeat("a", 256): false,
	} {
		if got := validName(name); got != ok {
			t.Errorf("name %q: %v, want %v", name, got, ok)
		}
	}
	for tag, ok := range map[string]bool{
		"a": true, "_": true, "1.0-x_y": true, "V": true, strings.Repeat("a", 128): true,
		"": false, ".a": false, "-a": false, "a:b": false, "a/b": false, strings.Repeat("a", 129): false, "ü": false,
	} {
		if got := validTag(tag); got != ok {
			t.Errorf("tag %q: %v, want %v", tag, got, ok)
		}
	}
	h := New(&Memory{}, Options{})
	resp, body := call(t, h, "GET", "/v2/UPPER/tags/list", "")
	want(t, resp, 400)
	if c := code(t, body); c != "NAME_INVALID" {
		t.Errorf("code %s", c)
	}
}

func TestRouteReadsFromTheEnd(t *testing.T) {
	for path, exp := range map[string]string{
		"/v2/a/tags/list":                       fmt.Sprint(kindTags, "a", "list"),
		"/v2/tags/list/tags/list":               fmt.Sprint(kindTags, "tags/list", "list"),
		"/v2/a/manifests/manifests/manifests/x": fmt.Sprint(kindManifest, "a/manifests/manifests", "x"),
		"/v2/a/blobs/uploads/":                  fmt.Sprint(kindUploads, "a", ""),
		"/v2/a/blobs/uploads":                   fmt.Sprint(kindUploads, "a", ""),
		"/v2/a/blobs/uploads/id":                fmt.Sprint(kindUpload, "a", "id"),
		"/v2/blobs/uploads/x/blobs/sha256:x":    fmt.Sprint(kindBlob, "blobs/uploads/x", "sha256:x"),
		"/v2/a/referrers/sha256:x":              fmt.Sprint(kindReferrers, "a", "sha256:x"),
	} {
		k, name, last := route(path)
		got := fmt.Sprint(k, name, last)
		if k == kindTags {
			got = fmt.Sprint(k, name, "list")
		}
		if got != exp {
			t.Errorf("%s: got %s, want %s", path, got, exp)
		}
	}
}

func TestDS03_DS05_blobs(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		d := putBlob(t, h, "a/b", "hello")
		path := "/v2/a/b/blobs/" + d.String()
		resp, body := call(t, h, "GET", path, "")
		want(t, resp, 200, "Docker-Content-Digest", d.String(), "Content-Length", "5", "Accept-Ranges", "bytes")
		if body != "hello" {
			t.Errorf("body %q", body)
		}
		resp, body = call(t, h, "HEAD", path, "")
		want(t, resp, 200, "Docker-Content-Digest", d.String(), "Content-Length", "5")
		if body != "" {
			t.Errorf("HEAD with a body %q", body)
		}
		resp, _ = call(t, h, "GET", path, "", "If-None-Match", `"`+d.String()+`"`)
		want(t, resp, 304)
		for _, p := range []string{"/v2/a/b/blobs/" + digest.FromString("x").String(), "/v2/other/blobs/" + d.String()} {
			if shared(h) && strings.HasPrefix(p, "/v2/other/") {
				continue
			}
			resp, body = call(t, h, "GET", p, "")
			want(t, resp, 404)
			if c := code(t, body); c != "BLOB_UNKNOWN" {
				t.Errorf("code %s", c)
			}
			resp, _ = call(t, h, "HEAD", p, "")
			want(t, resp, 404)
		}
		for _, bad := range []string{"sha256:x", "md5:d41d8cd98f00b204e9800998ecf8427e", "x"} {
			resp, body = call(t, h, "GET", "/v2/a/b/blobs/"+bad, "")
			want(t, resp, 400)
			if c := code(t, body); c != "DIGEST_INVALID" {
				t.Errorf("code %s", c)
			}
		}
	})
}

func TestDS04_ranges(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		d := putBlob(t, h, "a", "0123456789")
		for _, tt := range []struct {
			in, body, cr string
			status       int
		}{
			{"bytes=0-", "0123456789", "bytes 0-9/10", 206},
			{"bytes=0-0", "0", "bytes 0-0/10", 206},
			{"bytes=3-5", "345", "bytes 3-5/10", 206},
			{"bytes=5-", "56789", "bytes 5-9/10", 206},
			{"bytes=5-99", "56789", "bytes 5-9/10", 206},
			{"bytes=-3", "789", "bytes 7-9/10", 206},
			{"bytes=-99", "0123456789", "bytes 0-9/10", 206},
			{"bytes=9-", "9", "bytes 9-9/10", 206},
			{"bytes=10-", "", "bytes */10", 416},
			{"bytes=-0", "", "bytes */10", 416},
			{"bytes=99999999999999999999-", "0123456789", "", 200},
			{"bytes=5-3", "", "bytes */10", 416},
			{"bytes=0-1,3-4", "0123456789", "", 200},
			{"items=0-1", "0123456789", "", 200},
			{"bytes=x", "0123456789", "", 200},
			{"", "0123456789", "", 200},
		} {
			resp, body := call(t, h, "GET", "/v2/a/blobs/"+d.String(), "", "Range", tt.in)
			want(t, resp, tt.status, "Content-Range", tt.cr)
			if tt.status != 416 && body != tt.body {
				t.Errorf("%s: body %q, want %q", tt.in, body, tt.body)
			}
		}
		resp, body := call(t, h, "GET", "/v2/a/blobs/"+d.String(), "", "Range", "bytes=5-", "If-Range", `"other"`)
		want(t, resp, 200)
		if body != "0123456789" {
			t.Errorf("If-Range of another content: %q", body)
		}
	})
}

func TestDS07_DS09_uploads(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		d := digest.FromString("hello world")
		start := func() string {
			resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
			want(t, resp, 202, "Range", "0-0")
			return resp.Header.Get("Location")
		}
		check := func() {
			t.Helper()
			resp, body := call(t, h, "GET", "/v2/a/blobs/"+d.String(), "")
			want(t, resp, 200)
			if body != "hello world" {
				t.Errorf("body %q", body)
			}
			resp, _ = call(t, h, "DELETE", "/v2/a/blobs/"+d.String(), "")
			want(t, resp, 202)
			resp, _ = call(t, h, "GET", "/v2/a/blobs/"+d.String(), "")
			want(t, resp, 404)
		}
		loc := start() // POST then PUT
		if again := start(); again == loc {
			t.Error("two sessions with one location")
		}
		resp, _ := call(t, h, "PUT", loc+"?digest="+d.String(), "hello world")
		want(t, resp, 201, "Docker-Content-Digest", d.String(), "Location", "/v2/a/blobs/"+d.String())
		check()

		loc = start() // chunks
		resp, _ = call(t, h, "PATCH", loc, "hello ", "Content-Range", "0-5")
		want(t, resp, 202, "Range", "0-5")
		resp, _ = call(t, h, "GET", loc, "")
		want(t, resp, 204, "Range", "0-5", "Location", loc)
		for _, out := range []string{"0-4", "7-11", "5-9"} { // not in order
			resp, _ = call(t, h, "PATCH", loc, "world", "Content-Range", out)
			want(t, resp, 416, "Range", "0-5", "Location", loc)
		}
		resp, _ = call(t, h, "PUT", loc+"?digest="+d.String(), "world", "Content-Range", "9-13")
		want(t, resp, 416)
		resp, _ = call(t, h, "PATCH", loc, "world", "Content-Range", "6-9") // lengths disagree
		want(t, resp, 400)
		resp, _ = call(t, h, "PUT", loc+"?digest="+d.String(), "world", "Content-Range", "6-10")
		want(t, resp, 201)
		check()

		loc = start() // one stream, then an empty PUT
		resp, _ = call(t, h, "PATCH", loc, "hello world")
		want(t, resp, 202, "Range", "0-10")
		resp, _ = call(t, h, "PUT", loc+"?digest="+d.String(), "")
		want(t, resp, 201)
		check()

		loc = start() // DS-11: wrong and unknown digests
		for _, bad := range []string{"", "sha256:x", digest.FromString("other").String()} {
			resp, body := call(t, h, "PUT", loc+"?digest="+bad, "hello world")
			want(t, resp, 400)
			if c := code(t, body); c != "DIGEST_INVALID" {
				t.Errorf("%s: code %s", bad, c)
			}
		}
		resp, _ = call(t, h, "GET", loc, "")
		want(t, resp, 404) // what failed is gone

		loc = start() // DS-10
		resp, _ = call(t, h, "DELETE", loc, "")
		want(t, resp, 204)
		resp, body := call(t, h, "PATCH", loc, "x")
		want(t, resp, 404)
		if c := code(t, body); c != "BLOB_UPLOAD_UNKNOWN" {
			t.Errorf("code %s", c)
		}
		loc = start()
		resp, _ = call(t, h, "GET", strings.Replace(loc, "/v2/a/", "/v2/b/", 1), "")
		want(t, resp, 404) // of another repository
	})
}

func TestDS08_single_post(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		d := digest.FromString("x")
		resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), "x")
		want(t, resp, 201, "Location", "/v2/a/blobs/"+d.String())
		resp, body := call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), "y")
		want(t, resp, 400)
		if c := code(t, body); c != "DIGEST_INVALID" {
			t.Errorf("code %s", c)
		}
		big := digest.SHA512.FromString("x")
		resp, _ = call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+big.String(), "x")
		want(t, resp, 201, "Docker-Content-Digest", big.String())
		resp, _ = call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+digest.FromString("").String(), "")
		want(t, resp, 201) // the empty blob
		resp, _ = call(t, h, "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", "")
		want(t, resp, 400)
	})
}

func TestDS12_mount(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		d := putBlob(t, h, "a", "x")
		resp, _ := call(t, h, "POST", "/v2/b/blobs/uploads/?mount="+d.String()+"&from=a", "")
		want(t, resp, 201, "Location", "/v2/b/blobs/"+d.String())
		resp, _ = call(t, h, "GET", "/v2/b/blobs/"+d.String(), "")
		want(t, resp, 200)
		resp, _ = call(t, h, "POST", "/v2/c/blobs/uploads/?mount="+d.String(), "")
		want(t, resp, 201)
		for _, q := range []string{"mount=" + d.String() + "&from=nobody", "mount=" + digest.FromString("y").String() + "&from=a", "mount=bad&from=a"} {
			if shared(h) && strings.HasSuffix(q, "nobody") {
				continue
			}
			resp, _ = call(t, h, "POST", "/v2/d/blobs/uploads/?"+q, "")
			want(t, resp, 202)
			if resp.Header.Get("Location") == "" {
				t.Error("no session in place of the mount")
			}
		}
	})
}

func TestReadOnly(t *testing.T) {
	m := &Memory{}
	if err := m.PutBlob(t.Context(), "a", ispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	h := New(m, Options{})
	b := "/v2/a/blobs/" + digest.FromString("x").String()
	resp, _ := call(t, h, "GET", b, "")
	want(t, resp, 200)
	for _, r := range [][2]string{
		{"DELETE", b},
		{"POST", "/v2/a/blobs/uploads/"},
		{"PATCH", "/v2/a/blobs/uploads/x"},
		{"PUT", "/v2/a/blobs/uploads/x"},
		{"DELETE", "/v2/a/blobs/uploads/x"},
		{"PUT", "/v2/a/manifests/x"},
		{"DELETE", "/v2/a/manifests/x"},
	} {
		resp, body := call(t, h, r[0], r[1], "x")
		want(t, resp, 405)
		if c := code(t, body); c != "UNSUPPORTED" {
			t.Errorf("%v: code %s", r, c)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	dir := t.TempDir()
	h := New(&Memory{}, Options{Writable: true, TempDir: dir, UploadAge: 100 * time.Millisecond})
	resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	loc := resp.Header.Get("Location")
	resp, _ = call(t, h, "PATCH", loc, "some bytes")
	want(t, resp, 202)
	for range 500 { // nobody has to come by for it
		if h.uploads.count() == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	resp, _ = call(t, h, "GET", loc, "")
	want(t, resp, 404)
	call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	h.uploads.mu.Lock()
	n := len(h.uploads.open)
	h.uploads.mu.Unlock()
	if n != 0 {
		t.Errorf("%d sessions after Close", n)
	}
}

func TestBodyCutShort(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		s := httptest.NewServer(h)
		defer s.Close()
		resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
		loc := resp.Header.Get("Location")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL+loc, io.MultiReader(strings.NewReader("hello"), failing{}))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 100
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
		}
		for range 100 { // the server sees the cut a moment later
			resp, _ = call(t, h, "GET", loc, "")
			if resp.Header.Get("Range") == "0-4" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		want(t, resp, 204, "Range", "0-4") // what came is kept
		resp, _ = call(t, h, "PUT", loc+"?digest="+digest.FromString("hello world").String(), " world")
		want(t, resp, 201)
	})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBlobWithoutSeek(t *testing.T) {
	b := Blob{ReadCloser: io.NopCloser(bytes.NewBufferString("0123456789")), Size: 10}
	if err := b.skip(4); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(b)
	if string(rest) != "456789" {
		t.Errorf("got %q", rest)
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-", int64(10))
	f.Add("bytes=-3", int64(0))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		r, ok := parseRange(s, size)
		if ok && (r.first < 0 || r.length < 0 || r.first+r.length > size || r.partial && r.length == 0) {
			t.Fatalf("%q of %d: %+v", s, size, r)
		}
	})
}
