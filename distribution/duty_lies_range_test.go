package distribution

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// rangeClaims are answers to a request for a range that are not that range, or say that they are not.
func rangeClaims(size int64) []claim {
	alter := func(name string, edit func(w http.ResponseWriter, rec *httptest.ResponseRecorder)) claim {
		return claim{name: name, want: errAny, rule: registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Range") == "" {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			edit(w, rec)
		}}}
	}
	say := func(name, contentRange string) claim {
		return alter("Content-Range "+name, func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
	body := func(name string, edit func([]byte) []byte) claim {
		return alter(name, func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
			raw := edit(bytes.Clone(rec.Body.Bytes()))
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(raw)
		})
	}
	set := func(name, key, value string, code int) claim {
		return alter(name, func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
			w.Header().Set(key, value)
			w.WriteHeader(cmp.Or(code, rec.Code))
			_, _ = w.Write(rec.Body.Bytes())
		})
	}
	return []claim{
		say("of a smaller blob", "bytes 0-9/10"), say("of another total", fmt.Sprintf("bytes 100000-%d/%d", size-1, size+1)),
		say("without a total", fmt.Sprintf("bytes 100000-%d/*", size-1)), say("over int64", "bytes 0-99999999999999999999/99999999999999999999"),
		say("backwards", "bytes 9-5/10"), say("of other units", "items 0-9/10"), say("of nothing", "bytes */*"), say("empty", " "),
		say("twice", fmt.Sprintf("bytes 0-9/10, bytes 100000-%d/%d", size-1, size)), say("negative", "bytes -5--1/-1"),
		body("a byte flipped", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }),
		body("a byte less", func(b []byte) []byte { return b[:len(b)-1] }),
		body("a byte more", func(b []byte) []byte { return append(b, 0) }),
		body("nothing", func([]byte) []byte { return nil }),
		body("other bytes", func(b []byte) []byte { return make([]byte, len(b)) }),
		set("multipart", "Content-Type", "multipart/byteranges; boundary=x", 0),
		set("gzip", "Content-Encoding", "gzip", 0),
		set("another ETag", "Etag", `"another"`, 0),
		set("a weak ETag", "Etag", `W/"x"`, 0),
		set("200 with the range only", "X", "y", 200),
		set("416 of a blob as large as what is there", "Content-Range", "bytes */100000", 416),
		set("416 of the right size", "Content-Range", fmt.Sprintf("bytes */%d", size), 416),
		set("412", "X", "y", 412), set("304", "X", "y", 304), set("204", "X", "y", 204), set("206 that is endless in its header", "X-Pad", string(bytes.Repeat([]byte("y"), 300<<10)), 0),
	}
}

// TestLies_ranges: about what goes on after a break, and about the parts of a blob that is fetched over
// several connections.
func TestLies_ranges(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		for i, c := range rangeClaims(300_000) {
			t.Run(fmt.Sprintf("%s,parallel=%v", c.name, parallel), func(t *testing.T) {
				k := newCourt(t)
				layer := k.f.layers[1]
				c := rangeClaims(layer.Size)[i]
				c.rule.Path = "/blobs/" + layer.Digest.String()
				if parallel {
					k.name = "far.example"
					k.tune = func(c *Client) { c.rangeMin, c.rangeSize = 100_000, 64_000 }
				} else {
					k.Inject(registrytest.Rule{Path: c.rule.Path, Skip: 1, Times: 1, Fault: registrytest.Cut(100_000)}, // the first has no password yet
						registrytest.Rule{Path: c.rule.Path, Times: 1, Fault: registrytest.Cut(100_000)})
				}
				k.pulls(c)
				asked := 0
				for _, r := range k.Requests() {
					if r.Header.Get("Range") != "" {
						asked++
					}
				}
				if asked == 0 {
					t.Error("no range was asked for")
				}
			})
		}
	}
}
