package distribution

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// sessions is Sessions in memory.
type sessions struct {
	mu   sync.Mutex
	list map[string]string
}

func (s *sessions) Save(repository string, d digest.Digest, location string, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[string]string{}
	}
	s.list[repository+"@"+d.String()] = fmt.Sprint(offset, " ", location)
}

func (s *sessions) Take(repository string, d digest.Digest) (location string, offset int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.list[repository+"@"+d.String()]
	delete(s.list, repository+"@"+d.String())
	_, _ = fmt.Sscan(text, &offset, &location)
	return location, offset, ok
}

// sending counts what a server takes of blobs.
func sending(n *atomic.Int64) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		n.Add(max(0, r.ContentLength))
		next.ServeHTTP(w, r)
	}
}

// TestDC28_later_process: what a process that is gone had sent is not sent again, if the registry still
// has it; if it does not, or says what cannot be, the blob is sent from its start.
func TestDC28_later_process(t *testing.T) {
	const size, chunk = 3 << 20, 1 << 20
	for name, tt := range map[string]struct {
		spoil func(*sessions, string)
		rule  registrytest.Rule
		want  int64 // bytes that the second process sends at most
	}{
		"as it was":            {nil, registrytest.Rule{}, 2*chunk + chunk/2},
		"the session is gone":  {nil, registrytest.Rule{Method: http.MethodGet, Path: "/blobs/uploads/", Fault: registrytest.Status(404)}, size + chunk},
		"it says too much":     {nil, registrytest.Rule{Method: http.MethodGet, Path: "/blobs/uploads/", Fault: registrytest.Header("Range", "0-99999999")}, size + chunk},
		"it takes nothing":     {nil, registrytest.Rule{Method: http.MethodPatch, Times: 1, Fault: registrytest.Status(404)}, size + 3*chunk},
		"another place":        {func(s *sessions, k string) { s.list[k] = "1048576 ftp://x/y" }, registrytest.Rule{}, size + chunk},
		"more than the blob":   {func(s *sessions, k string) { s.list[k] = "99999999 http://127.0.0.1:1/x" }, registrytest.Rule{}, size + chunk},
		"somebody else's host": {func(s *sessions, k string) { s.list[k] = "1048576 http://127.0.0.1:1/x" }, registrytest.Rule{}, size + chunk},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			f := newFixture(t, size)
			ref := mustRef(t, s.Host+"/a/b:v")
			o := PushOptions{ChunkSize: chunk, Jobs: 1, Sessions: &sessions{}}
			ctx, cancel := context.WithCancel(t.Context())
			s.Inject(registrytest.Rule{Method: http.MethodPatch, Skip: 1, Times: 1, Fault: func(http.ResponseWriter, *http.Request, http.Handler) {
				cancel() // the process is interrupted
				panic(http.ErrAbortHandler)
			}})
			if err := newClient(t, Options{}).Push(ctx, ref, f.store, f.manifest, o); err == nil {
				t.Fatal("the first process ended well")
			}
			cancel()
			known := o.Sessions.(*sessions)
			if len(known.list) != 1 || s.Count(http.MethodDelete, "/blobs/") != 0 {
				t.Fatalf("%d uploads are remembered: %v", len(known.list), known.list)
			}
			if tt.spoil != nil {
				for k := range known.list {
					tt.spoil(known, k)
				}
			}
			s.Heal()
			if tt.rule.Fault != nil {
				s.Inject(tt.rule)
			}
			var sent atomic.Int64
			s.Inject(registrytest.Rule{Method: http.MethodPatch, Fault: sending(&sent)}, registrytest.Rule{Method: http.MethodPut, Path: "/blobs/", Fault: sending(&sent)})
			if err := newClient(t, Options{Retry: quick()}).Push(t.Context(), ref, f.store, f.manifest, o); err != nil {
				t.Fatal(err)
			}
			if n := sent.Load(); n > tt.want {
				t.Errorf("%d bytes were sent, want at most %d", n, tt.want)
			}
			if len(known.list) != 0 {
				t.Errorf("remembered still: %v", known.list)
			}
			s.Heal()
			if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDC28_whole_upload_goes_on: a PUT that breaks in the middle is gone on with where the registry has
// kept what came.
func TestDC28_whole_upload_goes_on(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t, 400_000)
	s.Inject(registrytest.Rule{Method: http.MethodPut, Path: "/blobs/uploads/", Times: 1, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		part := r.Clone(r.Context())
		part.Method, part.URL.RawQuery, part.ContentLength = http.MethodPatch, "", 250_000
		part.Body = io.NopCloser(io.LimitReader(r.Body, 250_000))
		next.ServeHTTP(discard{http.Header{}}, part)
		panic(http.ErrAbortHandler)
	}})
	ref := mustRef(t, s.Host+"/a/b:v")
	if err := newClient(t, Options{}).Push(t.Context(), ref, f.store, f.manifest, PushOptions{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Requests(), func(r registrytest.Request) bool { return r.Method == http.MethodPatch })
	if i < 0 || s.Requests()[i].Header.Get("Content-Range") != "250000-399999" {
		t.Errorf("the rest was not sent by itself")
	}
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
}

// TestDC30_mount_of_single_blobs: blobs come from several repositories, and a mount that is refused is an
// ordinary upload.
func TestDC30_mount_of_single_blobs(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s := registrytest.New(t, registrytest.Options{Auth: ts.Guard})
	f := newFixture(t)
	f.fill(t, s.Backend, "team/one")
	f.fill(t, s.Backend, "team/two")
	o := PushOptions{Mounts: map[digest.Digest]string{f.layers[0].Digest: "team/one", f.layers[1].Digest: "team/two", f.layers[2].Digest: "new/app"}}
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann"}})
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/new/app:v"), f.store, f.manifest, o); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(http.MethodPut, "/blobs/"); n != 2 { // a layer and the config
		t.Errorf("%d blobs were uploaded, want 2", n)
	}
	for _, status := range []int{400, 401, 403, 404, 405} {
		s.Inject(registrytest.Rule{Method: http.MethodPost, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Query().Get("mount") != "" {
				w.WriteHeader(status)
				return
			}
			next.ServeHTTP(w, r)
		}})
		to := fmt.Sprintf("%s/refused/app%d:v", s.Host, status)
		if err := c.Push(t.Context(), mustRef(t, to), f.store, f.manifest, o); err != nil {
			t.Errorf("a mount answered %d: %v", status, err)
		}
		s.Heal()
	}
}

// TestDC34_tags_of_one_push: one request sets all tags where the registry can do that, and one more each
// elsewhere.
func TestDC34_tags_of_one_push(t *testing.T) {
	f := newFixture(t)
	for name, tt := range map[string]struct {
		fault registrytest.Fault // of PUTs of manifests by digest
		puts  int
	}{
		"a registry that knows them": {nil, 1},
		"one that knows nothing of them": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.URL.RawQuery = ""
			next.ServeHTTP(w, r)
		}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			if tt.fault != nil {
				s.Inject(registrytest.Rule{Method: http.MethodPut, Path: "/manifests/" + f.manifest.Digest.String(), Fault: tt.fault})
			}
			c := newClient(t, Options{})
			ref := mustRef(t, s.Host+"/a/b:v")
			if err := c.Push(t.Context(), ref, f.store, f.manifest, PushOptions{Tags: []string{"latest", "1.2"}}); err != nil {
				t.Fatal(err)
			}
			if n := s.Count(http.MethodPut, "/manifests/"); n != tt.puts {
				t.Errorf("%d requests, want %d", n, tt.puts)
			}
			tags, err := c.Tags(t.Context(), ref)
			if err != nil || !slices.Equal(tags, []string{"1.2", "latest", "v"}) {
				t.Errorf("%q, %v", tags, err)
			}
		})
	}
}

// TestPush_sparse: what an index names and the source lacks is left out if that is asked for.
func TestPush_sparse(t *testing.T) {
	f := newFixture(t)
	delete(f.store.blobs, f.other.Digest)
	s := registrytest.New(t, registrytest.Options{})
	c := newClient(t, Options{})
	ref := mustRef(t, s.Host+"/a/b:v")
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err == nil {
		t.Error("an index with a hole was pushed as if it were whole")
	}
	absent := func(err error) bool { return strings.Contains(err.Error(), "not in the test store") }
	err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{Sparse: true, Absent: absent})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := c.Resolve(t.Context(), ref); err != nil || d.Digest != f.index.Digest || d.MediaType != ispec.MediaTypeImageIndex {
		t.Errorf("%v, %v", d, err)
	}
}
