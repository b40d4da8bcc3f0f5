package distribution

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestH81_nothing_is_asked_to_be_packed: no request lets an answer be compressed on its way, so that what
// comes is what the digest names; one that comes compressed all the same is not unpacked behind our back,
// is not stored, and is no other content.
func TestH81_nothing_is_asked_to_be_packed(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s, f, ref := setup(t, registrytest.Options{Auth: ts.Guard})
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tags(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/new/app:v"), f.store, f.manifest, PushOptions{ChunkSize: 100_000}); err != nil {
		t.Error(err)
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s %s: Accept-Encoding %q", r.Method, r.Path, r.Header.Get("Accept-Encoding"))
		}
	}
	for _, d := range []struct{ kind, path string }{
		{"manifest", "/manifests/" + f.manifest.Digest.String()}, {"config", "/blobs/" + f.config.Digest.String()}, {"layer", "/blobs/" + f.layers[1].Digest.String()},
	} {
		for _, encoding := range []string{"gzip", "x-gzip", "zstd"} {
			t.Run(d.kind+" "+encoding, func(t *testing.T) {
				k := newCourt(t)
				k.pulls(claim{want: errAny, rule: registrytest.Rule{Method: http.MethodGet, Path: d.path, Fault: packed(encoding)}})
				for _, r := range k.Requests() {
					if r.Header.Get("Accept-Encoding") != "identity" {
						t.Errorf("%s %s: Accept-Encoding %q", r.Method, r.Path, r.Header.Get("Accept-Encoding"))
					}
				}
			})
		}
	}
}

// packed compresses the right answer and says how.
func packed(encoding string) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(rec.Body.Bytes())
		_ = z.Close()
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Encoding", encoding)
		w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(b.Bytes())
	}
}
