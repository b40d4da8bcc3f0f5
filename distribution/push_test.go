package distribution

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// pulledBack pulls what was pushed and compares it with the fixture.
func pulledBack(t *testing.T, c *Client, name string, f *fixture) {
	t.Helper()
	m := newMemory()
	res, err := pullInto(t, c, mustRef(t, name), m, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Resolved.Root.Digest != f.index.Digest {
		t.Errorf("pulled %s, pushed %s", res.Resolved.Root.Digest, f.index.Digest)
	}
	for d, raw := range m.blobs {
		if !bytes.Equal(raw, f.store.blobs[d]) {
			t.Errorf("%s came back different", d)
		}
	}
}

func TestPush(t *testing.T) {
	for name, o := range map[string]PushOptions{
		"whole":          {},
		"chunked":        {ChunkSize: 50_000},
		"chunks of size": {ChunkSize: 300_000 - 1},
		"one at a time":  {Jobs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			f, c := newFixture(t), newClient(t, Options{})
			ref := mustRef(t, s.Host+"/new/app:v1")
			if err := c.Push(t.Context(), ref, f.store, f.index, o); err != nil {
				t.Fatal(err)
			}
			pulledBack(t, c, ref.String(), f)
			other, err := s.Backend.Manifest(t.Context(), "new/app", f.other.Digest)
			if err != nil || !bytes.Equal(other.Raw, f.store.blobs[f.other.Digest]) {
				t.Errorf("the manifest of the other platform: %v", err)
			}
			s.Forget()
			var kinds []image.EventKind
			o.Events = func(e image.Event) { kinds = append(kinds, e.Kind) }
			if err := c.Push(t.Context(), ref, f.store, f.index, o); err != nil {
				t.Fatal(err)
			}
			if got := s.Requests(); len(got) != 1 || got[0].Method != http.MethodHead || !slices.Equal(kinds, []image.EventKind{image.EventReused}) {
				t.Errorf("a second push is one HEAD; got %v, events %v", got, kinds)
			}
		})
	}
}

func TestDC32_order_of_push(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err) // the registry refuses a manifest before its blobs
	}
	var puts []string
	for _, r := range s.Requests() {
		if r.Method == http.MethodPut && strings.Contains(r.Path, "/manifests/") {
			puts = append(puts, r.Path[strings.LastIndex(r.Path, "/")+1:])
			if strings.Contains(r.Header.Get("Content-Type"), ";") {
				t.Errorf("DC-31: Content-Type %q has parameters", r.Header.Get("Content-Type"))
			}
		}
	}
	if want := []string{f.other.Digest.String(), f.manifest.Digest.String(), "v"}; !slices.Equal(puts, want) {
		t.Errorf("manifests in the order %q, want %q", puts, want)
	}
}

func TestPushSurvives(t *testing.T) {
	put := registrytest.Rule{Method: http.MethodPut, Path: "/blobs/uploads/", Times: 1}
	patch := registrytest.Rule{Method: http.MethodPatch, Path: "/blobs/uploads/", Times: 1}
	// after lets the registry take the request, and loses its answer.
	after := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(discard{w.Header()}, r)
		panic(http.ErrAbortHandler)
	}
	// half stores a part of the chunk, then the connection is gone.
	half := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("Content-Range")
		r.ContentLength = 20_000
		r.Body = io.NopCloser(io.LimitReader(r.Body, 20_000))
		next.ServeHTTP(discard{w.Header()}, r)
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name  string
		rule  registrytest.Rule
		fault registrytest.Fault
		o     PushOptions
	}{
		{"PUT dropped", put, registrytest.Drop(), PushOptions{}},
		{"PUT 503", put, registrytest.Status(503, "Retry-After", "0"), PushOptions{}},
		{"PUT answer lost", put, after, PushOptions{}},
		{"POST 500", registrytest.Rule{Method: http.MethodPost, Times: 1}, registrytest.Status(500), PushOptions{}},
		{"manifest PUT 502", registrytest.Rule{Method: http.MethodPut, Path: "/manifests/", Times: 1}, registrytest.Status(502), PushOptions{}},
		{"DC-28 PATCH dropped", patch, registrytest.Drop(), PushOptions{ChunkSize: 50_000}},
		{"DC-28 PATCH answer lost", patch, after, PushOptions{ChunkSize: 50_000}},
		{"DC-28 PATCH half", patch, half, PushOptions{ChunkSize: 50_000}},
		{"DC-28 PATCH 416", patch, registrytest.Status(416), PushOptions{ChunkSize: 50_000}},
		{"DC-33 413 makes chunks", registrytest.Rule{Method: http.MethodPut, Path: "/blobs/uploads/", Times: 1}, registrytest.Status(413), PushOptions{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			f, c := newFixture(t), newClient(t, Options{})
			tt.rule.Fault = tt.fault
			s.Inject(tt.rule)
			if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, tt.o); err != nil {
				t.Fatal(err)
			}
			s.Heal()
			pulledBack(t, c, s.Host+"/a/b:v", f)
		})
	}
}

// discard is an answer that gets lost.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestPushFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule registrytest.Rule
		want error
	}{
		{"401", registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Status(401)}, ErrUnauthorized},
		{"403", registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Status(403)}, ErrUnauthorized},
		{"429", registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Status(429, "Retry-After", "600")}, ErrRateLimited},
		{"500", registrytest.Rule{Method: http.MethodPut, Fault: registrytest.Status(500)}, ErrServer},
		{"no Location", registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Header("Location", "")}, ErrProtocol},
		{"odd Location", registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Header("Location", "file:///etc/passwd")}, ErrProtocol},
		{"stored another blob", registrytest.Rule{Method: http.MethodPut, Path: "/blobs/", Fault: registrytest.Header("Docker-Content-Digest", digest.FromString("x").String())}, image.ErrDigestMismatch},
		{"stored another manifest", registrytest.Rule{Method: http.MethodPut, Path: "/manifests/", Fault: registrytest.Header("Docker-Content-Digest", digest.FromString("x").String())}, image.ErrDigestMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			f := newFixture(t)
			s.Inject(tt.rule)
			err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPushWrongContent(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f, c := newFixture(t), newClient(t, Options{})
	ref := mustRef(t, s.Host+"/a/b:v")
	f.store.blobs[f.layers[1].Digest] = make([]byte, f.layers[1].Size)
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err == nil {
		t.Error("a blob that is not what its name says was pushed")
	}
	f.store.blobs[f.manifest.Digest] = []byte("{}")
	if err := c.Push(t.Context(), ref, f.store, f.manifest, PushOptions{}); !errors.Is(err, image.ErrSizeMismatch) {
		t.Errorf("a manifest that is not what its name says: got %v", err)
	}
	if _, err := s.Backend.Resolve(t.Context(), "a/b", "v"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the tag exists: %v", err)
	}
	if err := c.Push(t.Context(), ref.WithDigest(digest.FromString("x")), f.store, f.index, PushOptions{}); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("push to another digest: got %v", err)
	}
}

func TestDC20_location_is_kept_to_the_byte(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	const odd = "?_state=a%2Fb%3D%3D&x=1+2&empty="
	s.Inject(registrytest.Rule{Method: http.MethodPost, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(queried{w, odd}, r)
	}})
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		if r.Method == http.MethodPut && strings.Contains(r.Path, "/blobs/") && !strings.HasPrefix(r.RawQuery, odd[1:]+"&digest=sha256%3A") {
			t.Errorf("query %q, want what the registry gave and the digest", r.RawQuery)
		}
	}
}

// queried adds a query to every Location.
type queried struct {
	http.ResponseWriter
	query string
}

func (q queried) WriteHeader(code int) {
	if l := q.Header().Get("Location"); l != "" {
		q.Header().Set("Location", l+q.query)
	}
	q.ResponseWriter.WriteHeader(code)
}

func TestDC25_chunk_minimum(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	s.Inject(registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Header("Oci-Chunk-Min-Length", "120000")})
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{ChunkSize: 10_000, Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	var ranges []string
	for _, r := range s.Requests() {
		if r.Method == http.MethodPatch && strings.Contains(r.Header.Get("Content-Range"), "299999") {
			ranges = append(ranges, r.Header.Get("Content-Range"))
		}
	}
	if want := []string{"240000-299999", "240000-299999"}; !slices.Equal(ranges, want) {
		t.Errorf("last chunks %q, want %q", ranges, want)
	}
}

func TestDC30_mount(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	s := registrytest.New(t, registrytest.Options{Auth: ts.Guard})
	f := newFixture(t)
	f.fill(t, s.Backend, "team/app")
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann"}})
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/other/app:v"), f.store, f.index, PushOptions{MountFrom: "team/app"}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(http.MethodPut, "/blobs/"); n != 0 {
		t.Errorf("%d blobs were uploaded, all could be mounted", n)
	}
	if got := ts.Log(); len(got) != 1 || !strings.Contains(got[0], "repository:team/app:pull") || !strings.Contains(got[0], "repository:other/app:pull,push") {
		t.Errorf("one token for both repositories: got %q", got)
	}
	pulledBack(t, c, s.Host+"/other/app:v", f)
	// A mount that the registry does not do is an ordinary upload.
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/third/app:v"), f.store, f.index, PushOptions{MountFrom: "nobody/here"}); err != nil {
		t.Fatal(err)
	}
}

func TestDC29_cancel_deletes_the_session(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Inject(registrytest.Rule{Method: http.MethodPatch, Fault: func(http.ResponseWriter, *http.Request, http.Handler) {
		cancel()
		panic(http.ErrAbortHandler)
	}})
	err := newClient(t, Options{}).Push(ctx, mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{ChunkSize: 1000, Jobs: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s.Count(http.MethodDelete, "/blobs/uploads/") == 0 {
		t.Error("the session was left open")
	}
}

func TestIST8_foreign_layers_stay(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t)
	foreign := f.layers[0]
	foreign.MediaType = image.DockerForeignGzip
	foreign.URLs = []string{"https://example.com/layer"}
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: []ispec.Descriptor{foreign, f.layers[1], f.layers[2]}}
	man.SchemaVersion = 2
	raw := mustJSON(t, man)
	d := ispec.Descriptor{MediaType: man.MediaType, Digest: f.store.add(raw), Size: int64(len(raw))}
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, d, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backend.Blob(t.Context(), "a/b", foreign.Digest); !errors.Is(err, registry.ErrNotFound) {
		t.Error("a layer that is not to be distributed was pushed")
	}
}

// signature is a manifest with a subject.
func signature(t *testing.T, f *fixture, note string) ispec.Descriptor {
	t.Helper()
	empty := ispec.DescriptorEmptyJSON
	empty.Data = nil
	f.store.add([]byte("{}"))
	man := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.sig",
		Config: empty, Layers: []ispec.Descriptor{empty}, Subject: &f.manifest,
		Annotations: map[string]string{"note": note},
	}
	man.SchemaVersion = 2
	raw := mustJSON(t, man)
	return ispec.Descriptor{MediaType: man.MediaType, Digest: f.store.add(raw), Size: int64(len(raw))}
}

func TestDC40_referrers(t *testing.T) {
	for name, o := range map[string]registrytest.Options{
		"API":        {},
		"tag schema": {Registry: registry.Options{NoReferrersAPI: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, o)
			f, c := newFixture(t), newClient(t, Options{})
			ref := mustRef(t, s.Host+"/a/b:v")
			var want []digest.Digest
			for _, note := range []string{"one", "two"} {
				d := signature(t, f, note)
				want = append(want, d.Digest)
				for range 2 { // a second push enters nothing twice
					if err := c.Push(t.Context(), ref.WithDigest(d.Digest), f.store, d, PushOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, "")
			if err != nil || len(list) != 2 {
				t.Fatalf("got %v, %v", list, err)
			}
			for _, d := range list {
				if d.ArtifactType != "application/vnd.example.sig" || d.Annotations["note"] == "" || !slices.Contains(want, d.Digest) {
					t.Errorf("got %+v", d)
				}
			}
			if list, err = c.Referrers(t.Context(), ref, f.manifest.Digest, "application/other"); err != nil || len(list) != 0 {
				t.Errorf("DC-43: filtered: got %v, %v", list, err)
			}
			if list, err = c.Referrers(t.Context(), ref, digest.FromString("none"), ""); err != nil || len(list) != 0 {
				t.Errorf("DC-41: none: got %v, %v", list, err)
			}
		})
	}
}

func TestDC42_referrers_tag(t *testing.T) {
	for d, want := range map[digest.Digest]string{
		digest.FromString("x"):        "sha256-" + digest.FromString("x").Encoded(),
		digest.SHA512.FromString("x"): "sha512-" + digest.SHA512.FromString("x").Encoded()[:64],
	} {
		if got := ReferrersTag(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestDC44_link(t *testing.T) {
	for in, want := range map[string]string{
		`</v2/x?n=1&last=a>; rel="next"`:            "/v2/x?n=1&last=a",
		`</a>; rel=prev, </b>; title="x"; rel=next`: "/b",
		`</a>; rel="prev"`:                          "",
		`/a; rel="next"`:                            "",
		``:                                          "",
	} {
		if got := nextLink([]string{in}); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPushProgress(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f := newFixture(t, 3<<20)
	var mu sync.Mutex
	var last int64
	err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.manifest, PushOptions{Events: func(e image.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == image.EventProgress {
			if e.Bytes <= last || e.Total != 3<<20 {
				t.Errorf("progress %d of %d after %d", e.Bytes, e.Total, last)
			}
			last = e.Bytes
		}
	}})
	if err != nil || last < 2<<20 {
		t.Errorf("got %v, last progress %d", err, last)
	}
}
