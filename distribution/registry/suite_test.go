package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The tests of this file and of suitedata_test.go go through what the distribution-spec's own conformance suite checks
// (DS-26), under its names, so that a change that it would find is found here.

// An upload is one way to push body, which is to have the digest d, to the repository "a". It gives
// the last answer.
type upload struct {
	name string
	push func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response
}

func newSession(t *testing.T, h *Handler) string {
	t.Helper()
	resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	want(t, resp, http.StatusAccepted)
	return resp.Header.Get("Location")
}

// chunks pushes body in three pieces, the last of them with the PUT if so asked, and tries each of
// them too early first if so asked.
func chunks(putLast, disorder bool) func(*testing.T, *Handler, digest.Digest, string) *http.Response {
	return func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response {
		t.Helper()
		loc := newSession(t, h)
		size := (len(body) + 2) / 3
		at := 0
		piece := func(from int, method, to string) *http.Response {
			end := min(from+size, len(body))
			resp, _ := call(t, h, method, to, body[from:end], "Content-Range", fmt.Sprintf("%d-%d", from, end-1), "Content-Type", "application/octet-stream")
			return resp
		}
		for at < len(body) {
			last := at+size >= len(body)
			if disorder && at > 0 {
				want(t, piece(at-1, "PATCH", loc), http.StatusRequestedRangeNotSatisfiable)
			}
			if disorder && !last {
				want(t, piece(at+size, "PATCH", loc), http.StatusRequestedRangeNotSatisfiable)
				resp, _ := call(t, h, "GET", loc, "")
				want(t, resp, http.StatusNoContent, "Range", fmt.Sprintf("0-%d", max(at-1, 0)))
			}
			if last && putLast {
				return piece(at, "PUT", loc+"?digest="+d.String())
			}
			resp := piece(at, "PATCH", loc)
			at = min(at+size, len(body))
			want(t, resp, http.StatusAccepted, "Range", fmt.Sprintf("0-%d", at-1))
			loc = resp.Header.Get("Location")
		}
		resp, _ := call(t, h, "PUT", loc+"?digest="+d.String(), "")
		return resp
	}
}

func uploadWays() []upload {
	return []upload{
		{"post only", func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response {
			resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), body)
			return resp
		}},
		{"post+put", func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response {
			resp, _ := call(t, h, "PUT", newSession(t, h)+"?digest="+d.String(), body)
			return resp
		}},
		{"stream", func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response {
			resp, _ := call(t, h, "PATCH", newSession(t, h), body)
			want(t, resp, http.StatusAccepted)
			resp, _ = call(t, h, "PUT", resp.Header.Get("Location")+"?digest="+d.String(), "")
			return resp
		}},
		{"chunked single", func(t *testing.T, h *Handler, d digest.Digest, body string) *http.Response {
			loc := newSession(t, h)
			if body != "" {
				resp, _ := call(t, h, "PATCH", loc, body, "Content-Range", fmt.Sprintf("0-%d", len(body)-1), "Content-Type", "application/octet-stream")
				want(t, resp, http.StatusAccepted, "Range", fmt.Sprintf("0-%d", len(body)-1))
				loc = resp.Header.Get("Location")
			}
			resp, _ := call(t, h, "PUT", loc+"?digest="+d.String(), "")
			return resp
		}},
		{"chunked", chunks(false, false)},
		{"chunked and put chunk", chunks(true, false)},
		{"chunked out-of-order", chunks(false, true)},
		{"chunked out-of-order and put chunk", chunks(true, true)},
	}
}

func algorithms() []digest.Algorithm { return []digest.Algorithm{digest.SHA256, digest.SHA512} }

// wantBlob reads the blob d of repo by GET and HEAD, deletes it, and sees it gone.
func wantBlob(t *testing.T, h *Handler, repo string, d digest.Digest, body string) {
	t.Helper()
	path := "/v2/" + repo + "/blobs/" + d.String()
	for _, method := range []string{"HEAD", "GET"} {
		resp, got := call(t, h, method, path, "")
		want(t, resp, http.StatusOK, "Docker-Content-Digest", d.String(), "Content-Length", fmt.Sprint(len(body)))
		if method == "GET" && got != body {
			t.Errorf("%d bytes that differ", len(got))
		}
	}
	wantDeleted(t, h, path)
}

func wantDeleted(t *testing.T, h *Handler, path string) {
	t.Helper()
	resp, text := call(t, h, "DELETE", path, "")
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("DELETE %s: %d %s", path, resp.StatusCode, text)
	}
	resp, _ = call(t, h, "HEAD", path, "")
	want(t, resp, http.StatusNotFound)
}

func TestDS26_blobs(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		for _, a := range algorithms() {
			for _, u := range uploadWays() {
				t.Run(a.String()+" "+u.name, func(t *testing.T) {
					for _, body := range []string{strings.Repeat(u.name, 200), "{}", ""} {
						d := a.FromString(body)
						resp := u.push(t, h, d, body)
						want(t, resp, http.StatusCreated, "Docker-Content-Digest", d.String(), "Location", "/v2/a/blobs/"+d.String())
						wantBlob(t, h, "a", d, body)
					}
					// DS-11: content that is not what it is said to be leaves nothing behind.
					d := a.FromString("good")
					want(t, u.push(t, h, d, "good, and more: oh no"), http.StatusBadRequest)
					resp, _ := call(t, h, "HEAD", "/v2/a/blobs/"+d.String(), "")
					want(t, resp, http.StatusNotFound)
				})
			}
		}
	})
}

// An upload that is cancelled is gone, and so is what it held; what was never pushed is not there.
func TestDS26_cancelled_and_missing(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		for _, a := range algorithms() {
			d := a.FromString("cancelled")
			path := "/v2/a/blobs/" + d.String()
			resp, _ := call(t, h, "GET", path, "")
			want(t, resp, http.StatusNotFound)
			loc := newSession(t, h)
			resp, _ = call(t, h, "PATCH", loc, "cancelled")
			want(t, resp, http.StatusAccepted)
			resp, _ = call(t, h, "DELETE", loc, "")
			want(t, resp, http.StatusNoContent)
			for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
				resp, _ = call(t, h, method, loc+"?digest="+d.String(), "")
				want(t, resp, http.StatusNotFound)
			}
			resp, _ = call(t, h, "DELETE", path, "")
			want(t, resp, http.StatusNotFound)
		}
	})
}

// A manifest whose bytes do not have the digest that it is pushed under leaves nothing behind.
func TestDS26_bad_digest_image(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		raw := manifestFor(putBlob(t, h, "a", "{}"), 2, "")
		for _, a := range algorithms() {
			path := "/v2/a/manifests/" + a.FromString(raw).String()
			for _, query := range []string{"", "?tag=bad"} {
				resp, text := call(t, h, "PUT", path+query, raw+"  ", "Content-Type", ispec.MediaTypeImageManifest)
				want(t, resp, http.StatusBadRequest)
				if c := code(t, text); c != "DIGEST_INVALID" {
					t.Errorf("code %s", c)
				}
			}
			resp, _ := call(t, h, "HEAD", path, "")
			want(t, resp, http.StatusNotFound)
		}
		resp, _ := call(t, h, "GET", "/v2/a/manifests/bad", "")
		want(t, resp, http.StatusNotFound)
	})
}

func TestDS26_mounts(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		for _, a := range algorithms() {
			for _, from := range []string{"&from=b/c", ""} {
				body := "mounted" + from
				d := a.FromString(body)
				mount := "/v2/a/blobs/uploads/?mount=" + d.String() + from
				resp, _ := call(t, h, "POST", mount, "") // missing: an ordinary upload
				want(t, resp, http.StatusAccepted)
				resp, _ = call(t, h, "DELETE", resp.Header.Get("Location"), "")
				want(t, resp, http.StatusNoContent)
				resp, _ = call(t, h, "POST", "/v2/b/c/blobs/uploads/?digest="+d.String(), body)
				want(t, resp, http.StatusCreated)
				resp, _ = call(t, h, "POST", mount, "")
				want(t, resp, http.StatusCreated, "Location", "/v2/a/blobs/"+d.String())
				wantBlob(t, h, "a", d, body)
			}
		}
	})
}

func TestDS26_ranges(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		body := strings.Repeat("0123456789abcdef", 128)
		for _, a := range algorithms() {
			d := a.FromString(body)
			resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), body)
			want(t, resp, http.StatusCreated)
			for _, tt := range []struct {
				in          string
				first, last int
			}{
				{"bytes=500-1499", 500, 1499},
				{"bytes=500-", 500, 2047},
				{"bytes=-500", 1548, 2047},
				{"bytes=2000-5000", 2000, 2047},
				{"bytes=500-0", -1, 0},
				{"bytes=5000-10000", -1, 0},
			} {
				resp, got := call(t, h, "GET", "/v2/a/blobs/"+d.String(), "", "Range", tt.in)
				if tt.first < 0 {
					want(t, resp, http.StatusRequestedRangeNotSatisfiable)
					continue
				}
				want(t, resp, http.StatusPartialContent,
					"Content-Range", fmt.Sprintf("bytes %d-%d/2048", tt.first, tt.last), "Content-Length", fmt.Sprint(tt.last-tt.first+1))
				if got != body[tt.first:tt.last+1] {
					t.Errorf("%s: %d bytes that differ", tt.in, len(got))
				}
			}
		}
	})
}

func TestDS26_empty_repository(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		resp, body := call(t, h, "GET", "/v2/a/referrers/"+digest.FromString("x").String(), "")
		want(t, resp, http.StatusOK, "Content-Type", ispec.MediaTypeImageIndex)
		if !strings.Contains(body, `"manifests":[]`) {
			t.Error(body)
		}
		resp, _ = call(t, h, "GET", "/v2/a/tags/list", "")
		want(t, resp, http.StatusNotFound)
		for _, ref := range []string{digest.FromString("x").String(), "missing"} {
			resp, _ = call(t, h, "GET", "/v2/a/manifests/"+ref, "")
			want(t, resp, http.StatusNotFound)
		}
		for _, method := range []string{"PUT", "GET"} {
			resp, _ = call(t, h, method, "/v2/a/manifests/sha256:baddigeststring", `{"schemaVersion":2,"manifests":[]}`)
			want(t, resp, http.StatusBadRequest)
		}
	})
}
