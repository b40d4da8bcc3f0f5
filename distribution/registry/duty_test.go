package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// exchange is one request and the status that it is to have.
type exchange struct {
	method, path, body string
	status             int
}

// requests are of every category of the API, right and wrong, to a registry that has the manifest m
// under a:v and the blob c.
func requests(m, c digest.Digest) []exchange {
	none := digest.FromString("none").String()
	return []exchange{
		{"GET", "/v2/", "", 200}, // pull
		{"GET", "/v2/a/manifests/v", "", 200},
		{"HEAD", "/v2/a/manifests/v", "", 200},
		{"GET", "/v2/a/manifests/" + m.String(), "", 200},
		{"GET", "/v2/a/blobs/" + c.String(), "", 200},
		{"HEAD", "/v2/a/blobs/" + c.String(), "", 200},
		{"GET", "/v2/a/manifests/none", "", 404},
		{"HEAD", "/v2/a/manifests/none", "", 404},
		{"GET", "/v2/a/manifests/" + none, "", 404},
		{"GET", "/v2/a/blobs/" + none, "", 404},
		{"HEAD", "/v2/a/blobs/" + none, "", 404},
		{"GET", "/v2/b/manifests/v", "", 404},
		{"GET", "/v2/b/blobs/" + none, "", 404},
		{"GET", "/v2/b/tags/list", "", 404},
		{"GET", "/v2/a/manifests/sha256:abc", "", 400},
		{"GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "", 400},
		{"GET", "/v2/A/manifests/v", "", 400},
		{"POST", "/v2/a/blobs/uploads/", "", 202}, // push
		{"POST", "/v2/a/blobs/uploads/?digest=" + digest.FromString("x").String(), "x", 201},
		{"POST", "/v2/a/blobs/uploads/?digest=" + none, "x", 400},
		{"POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", "", 400},
		{"GET", "/v2/a/blobs/uploads/none", "", 404},
		{"PATCH", "/v2/a/blobs/uploads/none", "x", 404},
		{"PUT", "/v2/a/blobs/uploads/none?digest=" + none, "x", 404},
		{"DELETE", "/v2/a/blobs/uploads/none", "", 404},
		{"PUT", "/v2/a/manifests/w", "{", 400},
		{"PUT", "/v2/a/manifests/" + none, "{}", 400},
		{"PUT", "/v2/a/manifests/.w", manifestFor(c, 2, ""), 400},
		{"GET", "/v2/a/tags/list", "", 200}, // content discovery
		{"GET", "/v2/a/tags/list?n=-1", "", 400},
		{"GET", "/v2/_catalog", "", 200},
		{"GET", "/v2/a/referrers/" + none, "", 200},
		{"GET", "/v2/a/referrers/none", "", 400},
		{"DELETE", "/v2/a/manifests/none", "", 404}, // content management
		{"DELETE", "/v2/a/manifests/" + none, "", 404},
		{"DELETE", "/v2/a/blobs/" + none, "", 404},
		{"DELETE", "/v2/a/tags/list", "", 405},
		{"POST", "/v2/a/manifests/v", "", 405},
		{"PUT", "/v2/a/blobs/" + c.String(), "x", 405},
	}
}

// each makes the requests of a registry and hands on the answers.
func each(t *testing.T, f func(t *testing.T, e exchange, resp *http.Response, body string)) {
	t.Helper()
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		raw := manifestFor(c, 2, "")
		resp, _ := call(t, h, "PUT", "/v2/a/manifests/v", raw, "Content-Type", ispec.MediaTypeImageManifest)
		want(t, resp, http.StatusCreated)
		for _, e := range requests(digest.FromString(raw), c) {
			resp, body := call(t, h, e.method, e.path, e.body)
			f(t, e, resp, body)
		}
	})
}

// TestDS01_DS06_every_category: pull, push, discovery and management are there, and what is unknown is
// 404 in each of them.
func TestDS01_DS06_every_category(t *testing.T) {
	each(t, func(t *testing.T, e exchange, resp *http.Response, body string) {
		if resp.StatusCode != e.status {
			t.Errorf("%s %s: %d, want %d: %s", e.method, e.path, resp.StatusCode, e.status, body)
		}
	})
}

// TestDS22_error_answers: every failure is JSON of the text's shape, with one of its codes.
func TestDS22_error_answers(t *testing.T) {
	codes := map[string]bool{}
	for _, c := range []string{
		"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
		"MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
	} {
		codes[c] = true
	}
	each(t, func(t *testing.T, e exchange, resp *http.Response, body string) {
		if resp.StatusCode < 400 || e.method == "HEAD" {
			return
		}
		if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s %s: Content-Type %q", e.method, e.path, ct)
		}
		var doc struct {
			Errors []map[string]json.RawMessage `json:"errors"`
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Errors) == 0 {
			t.Fatalf("%s %s: %s", e.method, e.path, body)
		}
		for _, m := range doc.Errors {
			for k := range m {
				if k != "code" && k != "message" && k != "detail" {
					t.Errorf("%s %s: a field %q", e.method, e.path, k)
				}
			}
			var c string
			if err := json.Unmarshal(m["code"], &c); err != nil || !codes[c] {
				t.Errorf("%s %s: code %s", e.method, e.path, m["code"])
			}
		}
	})
}

// TestDS23_warnings: this registry has nothing to warn of, so no answer has a Warning.
func TestDS23_warnings(t *testing.T) {
	each(t, func(t *testing.T, e exchange, resp *http.Response, _ string) {
		if w := resp.Header.Values("Warning"); len(w) != 0 {
			t.Errorf("%s %s: %q", e.method, e.path, w)
		}
	})
}

// TestDS21_ns_is_not_used: this registry stands in for no other: ns changes nothing, and no answer says
// that it did.
func TestDS21_ns_is_not_used(t *testing.T) {
	each(t, func(t *testing.T, e exchange, resp *http.Response, _ string) {
		if ns := resp.Header.Values("Oci-Namespace"); len(ns) != 0 {
			t.Errorf("%s %s: OCI-Namespace %q", e.method, e.path, ns)
		}
	})
	h := New(&Memory{}, Options{Writable: true, TempDir: t.TempDir()})
	defer h.Close()
	d := putBlob(t, h, "a", "x")
	for path, status := range map[string]int{"/v2/a/blobs/" + d.String(): 200, "/v2/b/blobs/" + d.String(): 404} {
		resp, _ := call(t, h, "GET", path+"?ns=docker.io", "")
		want(t, resp, status, "Oci-Namespace", "")
	}
}

// TestDS10_sessions_end: by DELETE, and when nobody comes back to them.
func TestDS10_sessions_end(t *testing.T) {
	h := New(&Memory{}, Options{Writable: true, TempDir: t.TempDir()})
	defer h.Close()
	loc := newSession(t, h)
	resp, _ := call(t, h, "DELETE", loc, "")
	want(t, resp, http.StatusNoContent)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		resp, body := call(t, h, method, loc, "")
		want(t, resp, http.StatusNotFound)
		if c := code(t, body); c != "BLOB_UPLOAD_UNKNOWN" {
			t.Errorf("%s: code %s", method, c)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		h := New(&Memory{}, Options{Writable: true, TempDir: t.TempDir(), UploadAge: time.Minute})
		defer h.Close()
		old := newSession(t, h)
		time.Sleep(50 * time.Second)
		kept := newSession(t, h)
		time.Sleep(50 * time.Second)
		newSession(t, h) // looks for those that have ended
		resp, _ := call(t, h, "GET", old, "")
		want(t, resp, http.StatusNotFound)
		resp, _ = call(t, h, "GET", kept, "")
		want(t, resp, http.StatusNoContent)
	})
}

// TestDS11_invalid_digests: wherever a digest is said, one that is none, or of an algorithm that is not
// known, is 400 and DIGEST_INVALID.
func TestDS11_invalid_digests(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		for _, bad := range []string{"sha256:abc", "sha256:" + strings.ToUpper(c.Encoded()), "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha512:" + c.Encoded(), "x:y"} {
			for _, e := range []exchange{
				{"GET", "/v2/a/blobs/" + bad, "", 400},
				{"DELETE", "/v2/a/blobs/" + bad, "", 400},
				{"GET", "/v2/a/manifests/" + bad, "", 400},
				{"PUT", "/v2/a/manifests/" + bad, manifestFor(c, 2, ""), 400},
				{"GET", "/v2/a/referrers/" + bad, "", 400},
				{"POST", "/v2/a/blobs/uploads/?digest=" + bad, "x", 400},
				{"PUT", newSession(t, h) + "?digest=" + bad, "x", 400},
			} {
				resp, body := call(t, h, e.method, e.path, e.body)
				if resp.StatusCode != e.status || code(t, body) != "DIGEST_INVALID" {
					t.Errorf("%s %s: %d %s", e.method, e.path, resp.StatusCode, body)
				}
			}
		}
		resp, body := call(t, h, "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", "")
		if resp.StatusCode != 400 || code(t, body) != "DIGEST_INVALID" {
			t.Errorf("an algorithm that is not known: %d %s", resp.StatusCode, body)
		}
	})
}

// TestDS14_manifest_sizes: 4 MiB, and whatever is allowed, to the byte; one more is 413.
func TestDS14_manifest_sizes(t *testing.T) {
	const limit = 5 << 20
	for name, b := range map[string]Backend{"memory": &Memory{}, "pool": NewPool(newContent(), nil)} {
		t.Run(name, func(t *testing.T) {
			h := New(b, Options{Writable: true, TempDir: t.TempDir(), MaxManifest: limit})
			defer h.Close()
			c := putBlob(t, h, "a", "{}")
			raw := manifestFor(c, 2, "")
			for n, status := range map[int]int{4 << 20: 201, limit: 201, limit + 1: 413} {
				resp, body := call(t, h, "PUT", fmt.Sprintf("/v2/a/manifests/n%d", n), raw+strings.Repeat(" ", n-len(raw)), "Content-Type", ispec.MediaTypeImageManifest)
				if want(t, resp, status); status == 413 && code(t, body) != "SIZE_INVALID" {
					t.Errorf("%d bytes: %s", n, body)
				}
			}
		})
	}
}

// TestDS15_what_may_be_missing: the subject, and the manifests of an index; not the blobs of a manifest.
func TestDS15_what_may_be_missing(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		none := digest.FromString("none")
		sub := fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":9}`, ispec.MediaTypeImageManifest, none)
		resp, _ := call(t, h, "PUT", "/v2/a/manifests/subject", manifestFor(c, 2, sub), "Content-Type", ispec.MediaTypeImageManifest)
		want(t, resp, http.StatusCreated, "Oci-Subject", none.String())
		resp, body := call(t, h, "PUT", "/v2/a/manifests/blob", manifestFor(none, 2, ""), "Content-Type", ispec.MediaTypeImageManifest)
		if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusNotFound || code(t, body) != "MANIFEST_BLOB_UNKNOWN" {
			t.Errorf("a blob that is missing: %d %s", resp.StatusCode, body)
		}
		resp, _ = call(t, h, "GET", "/v2/a/manifests/blob", "")
		want(t, resp, http.StatusNotFound)
	})
}
