package distribution

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// patient is a client that tries often and seldom waits.
func patient(t *testing.T) *Client {
	t.Helper()
	return newClient(t, Options{Retry: Retry{Attempts: 20, Base: time.Millisecond, Max: 5 * time.Millisecond, Budget: time.Minute}})
}

// TestDC28_every_other_request_is_turned_away: an upload gets through a proxy that refuses requests by
// turns, whichever it begins with, in one piece and in several, and whether it lost what it refused or
// passed that on and lost the answer.
func TestDC28_every_other_request_is_turned_away(t *testing.T) {
	for _, code := range []int{429, 502, 503} {
		for _, turn := range []int64{0, 1} {
			for _, chunk := range []int64{0, 70_000} {
				for _, passed := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d from %d in %d, passed on %t", code, turn, chunk, passed), func(t *testing.T) {
						s := registrytest.New(t, registrytest.Options{})
						var n atomic.Int64
						n.Store(turn)
						s.Inject(registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
							if n.Add(1)%2 == 0 {
								next.ServeHTTP(w, r)
								return
							}
							if passed {
								next.ServeHTTP(discard{http.Header{}}, r)
							}
							registrytest.Status(code)(w, r, next)
						}})
						f, c := newFixture(t), patient(t)
						if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{ChunkSize: chunk, Jobs: 1}); err != nil {
							t.Fatal(err)
						}
						s.Heal()
						pulledBack(t, c, s.Host+"/a/b:v", f)
					})
				}
			}
		}
	}
}

// TestDC21_stored_though_it_seemed_to_fail: a blob whose PUT was taken, and the answer to it lost on
// the way, is not sent again.
func TestDC21_stored_though_it_seemed_to_fail(t *testing.T) {
	for _, chunk := range []int64{0, 70_000} {
		s := registrytest.New(t, registrytest.Options{})
		s.Inject(registrytest.Rule{Method: http.MethodPut, Path: "/blobs/uploads/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(discard{http.Header{}}, r)
			registrytest.Status(503)(w, r, next)
		}})
		f, c := newFixture(t), patient(t)
		if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.manifest, PushOptions{ChunkSize: chunk, Jobs: 1}); err != nil {
			t.Fatal(err)
		}
		opened := 0
		for _, r := range s.Requests() {
			if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/blobs/uploads/") {
				opened++
			}
		}
		if want := len(f.layers) + 1; opened != want {
			t.Errorf("chunks of %d: %d sessions for %d blobs", chunk, opened, want)
		}
	}
}
