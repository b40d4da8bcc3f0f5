package distribution

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// pushOf pushes the image of a fixture to an empty registry, one blob at a time, and gives what was
// asked of it.
func pushOf(t *testing.T, o PushOptions, rules ...registrytest.Rule) ([]registrytest.Request, *fixture) {
	t.Helper()
	s := registrytest.New(t, registrytest.Options{})
	s.Inject(rules...)
	f, c := newFixture(t), newClient(t, Options{})
	o.Jobs = 1
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, o); err != nil {
		t.Fatal(err)
	}
	seen := s.Requests()
	s.Heal()
	pulledBack(t, c, s.Host+"/a/b:v", f)
	return seen, f
}

func uploading(r registrytest.Request, method string) bool {
	return r.Method == method && strings.Contains(r.Path, "/blobs/uploads/")
}

// TestDC21_whole_blob: a PUT with the size of the blob as its Content-Length, and its digest; a
// registry that is asked to start answers 202, and is gone on with.
func TestDC21_whole_blob(t *testing.T) {
	seen, f := pushOf(t, PushOptions{})
	puts := 0
	for _, r := range seen {
		if !uploading(r, http.MethodPut) {
			continue
		}
		puts++
		at := strings.LastIndex(r.RawQuery, "digest=")
		d := digest.Digest(strings.ReplaceAll(r.RawQuery[at+len("digest="):], "%3A", ":"))
		if raw, ok := f.store.blobs[d]; !ok || r.Header.Get("Content-Length") != strconv.Itoa(len(raw)) {
			t.Errorf("PUT of %s with Content-Length %q, it has %d bytes", d, r.Header.Get("Content-Length"), len(raw))
		}
		if r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("Transfer-Encoding") != "" {
			t.Errorf("PUT with %v", r.Header)
		}
	}
	if puts != 8 { // two configs, and of each image three layers
		t.Errorf("%d blobs were sent, want 8", puts)
	}
	s := registrytest.New(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Method: http.MethodPost, Fault: registrytest.Status(201, "Location", "/v2/a/b/blobs/x")})
	fx := newFixture(t)
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), fx.store, fx.manifest, PushOptions{}); !errors.Is(err, ErrProtocol) {
		t.Errorf("201 to the start of an upload stores nothing: got %v", err)
	}
}

// TestDC22_session_is_opened_empty: a POST without a body says so.
func TestDC22_session_is_opened_empty(t *testing.T) {
	for name, o := range map[string]PushOptions{"whole": {}, "chunked": {ChunkSize: 50_000}, "mount": {MountFrom: "x/y"}} {
		seen, _ := pushOf(t, o)
		posts := 0
		for _, r := range seen {
			if uploading(r, http.MethodPost) {
				posts++
				if r.Header.Get("Content-Length") != "0" {
					t.Errorf("%s: POST with Content-Length %q", name, r.Header.Get("Content-Length"))
				}
			}
		}
		if posts == 0 {
			t.Errorf("%s: no session was opened", name)
		}
	}
}

// TestDC23_digest_algorithm: a session for sha512 names it, one for sha256 need not.
func TestDC23_digest_algorithm(t *testing.T) {
	for _, o := range []PushOptions{{}, {ChunkSize: 50_000}} {
		s := registrytest.New(t, registrytest.Options{})
		f, c := newFixture(t), newClient(t, Options{})
		large, blobs := wide(t, f)
		ref := mustRef(t, s.Host+"/a/b")
		if err := c.Push(t.Context(), ref.WithDigest(large.Digest), f.store, large, o); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Requests() {
			if uploading(r, http.MethodPost) && r.RawQuery != "digest-algorithm=sha512" {
				t.Errorf("POST ?%s", r.RawQuery)
			}
		}
		s.Forget()
		if err := c.Push(t.Context(), ref.WithDigest(f.manifest.Digest), f.store, f.manifest, o); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Requests() {
			if uploading(r, http.MethodPost) && r.RawQuery != "" {
				t.Errorf("POST ?%s", r.RawQuery)
			}
		}
		m := newMemory()
		if _, err := pullInto(t, c, ref.WithDigest(large.Digest), m, PullOptions{}); err != nil || !bytes.Equal(m.blobs[blobs[2].Digest], f.store.blobs[blobs[2].Digest]) {
			t.Errorf("what was pushed comes back: %v", err)
		}
	}
}

// TestDC24_content_range: inclusive, from 0, each one after the other to the last byte.
func TestDC24_content_range(t *testing.T) {
	form := regexp.MustCompile(`^[0-9]+-[0-9]+$`)
	seen, _ := pushOf(t, PushOptions{ChunkSize: 77_777})
	next := map[string]int{} // by session
	for _, r := range seen {
		if !uploading(r, http.MethodPatch) {
			continue
		}
		text := r.Header.Get("Content-Range")
		if !form.MatchString(text) {
			t.Fatalf("Content-Range %q", text)
		}
		var first, last int
		if _, err := fmt.Sscanf(text, "%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
		if first != next[r.Path] || r.Header.Get("Content-Length") != strconv.Itoa(last-first+1) {
			t.Errorf("Content-Range %s of %s bytes after %d", text, r.Header.Get("Content-Length"), next[r.Path])
		}
		next[r.Path] = last + 1
	}
	sizes := map[int]int{}
	for _, n := range next {
		sizes[n]++
	}
	if len(next) == 0 || sizes[300_000] != 2 {
		t.Errorf("sessions of %v", next)
	}
}

// TestDC26_each_location_is_used: the registry gives another Location with every answer, and takes
// none but the last.
func TestDC26_each_location_is_used(t *testing.T) {
	step := map[string]int{}
	next := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		id := r.URL.Path
		if r.Method != http.MethodPost && r.URL.Query().Get("step") != strconv.Itoa(step[id]) {
			registrytest.Status(http.StatusNotFound)(w, r, next)
			return
		}
		rec := &located{ResponseWriter: w, step: step}
		next.ServeHTTP(rec, r)
	}
	seen, _ := pushOf(t, PushOptions{ChunkSize: 50_000}, registrytest.Rule{Path: "/blobs/uploads/", Fault: next})
	last := map[string]int{}
	for _, r := range seen {
		if uploading(r, http.MethodPatch) || uploading(r, http.MethodPut) {
			q, _, _ := strings.Cut(strings.TrimPrefix(r.RawQuery, "step="), "&")
			if n, err := strconv.Atoi(q); err != nil || n != last[r.Path]+1 {
				t.Errorf("%s with ?%s after step %d", r.Method, r.RawQuery, last[r.Path])
			} else {
				last[r.Path] = n
			}
		}
	}
	if len(last) == 0 {
		t.Error("nothing was sent in chunks")
	}
}

// located numbers the locations that it gives for a session.
type located struct {
	http.ResponseWriter
	step map[string]int
}

func (l *located) WriteHeader(code int) {
	if at := l.Header().Get("Location"); at != "" && strings.Contains(at, "/uploads/") {
		l.step[at]++
		l.Header().Set("Location", fmt.Sprintf("%s?step=%d", at, l.step[at]))
	}
	l.ResponseWriter.WriteHeader(code)
}

// TestDC27_closed_by_the_digest: the last request of a session in chunks has no body and the digest of
// the whole, and no manifest goes before it.
func TestDC27_closed_by_the_digest(t *testing.T) {
	seen, f := pushOf(t, PushOptions{ChunkSize: 50_000})
	closed := map[string]bool{}
	open := map[string]bool{}
	for _, r := range seen {
		switch {
		case uploading(r, http.MethodPatch):
			if closed[r.Path] {
				t.Error("a chunk after the end")
			}
			open[r.Path] = true
		case uploading(r, http.MethodPut) && open[r.Path]:
			if r.Header.Get("Content-Length") != "0" || !strings.HasPrefix(r.RawQuery, "digest=sha256%3A") {
				t.Errorf("PUT ?%s with %s bytes", r.RawQuery, r.Header.Get("Content-Length"))
			}
			if d := digest.Digest("sha256:" + strings.TrimPrefix(r.RawQuery, "digest=sha256%3A")); f.store.blobs[d] == nil {
				t.Errorf("closed with %s", d)
			}
			closed[r.Path] = true
		case r.Method == http.MethodPut && strings.Contains(r.Path, "/manifests/"):
			if len(open) != len(closed) {
				t.Errorf("a manifest was put with %d of %d sessions closed", len(closed), len(open))
			}
		}
	}
	if len(closed) == 0 {
		t.Error("nothing was sent in chunks")
	}
}

// TestDC28_status_of_a_session: what the registry says it has is gone on from, and a lie about it sends
// nothing that would be stored under a wrong name.
func TestDC28_status_of_a_session(t *testing.T) {
	for name, tt := range map[string]struct {
		status string // Range of the answer to GET
		ok     bool
	}{
		"as it is":           {"", true},
		"more than there is": {"0-999999999", true}, // the blob is sent anew
		"all of it":          {"0-299999", true},    // the PUT proves it false, and the blob is sent anew
		"more than was sent": {"0-149999", true},    // the registry says 416 to what follows, and is asked again
		"no number":          {"x", true},           // taken for an empty session, likewise
		"negative":           {"0--1", true},
		"over int64":         {"0-99999999999999999999", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, registrytest.Options{})
			f, c := newFixture(t), newClient(t, Options{})
			s.Inject(registrytest.Rule{Method: http.MethodPatch, Skip: 1, Times: 1, Fault: registrytest.Drop()})
			if tt.status != "" {
				s.Inject(registrytest.Rule{Method: http.MethodGet, Path: "/blobs/uploads/", Times: 1, Fault: registrytest.Header("Range", tt.status)})
			}
			ref := mustRef(t, s.Host+"/a/b:v")
			err := c.Push(t.Context(), ref, f.store, f.manifest, PushOptions{ChunkSize: 50_000, Jobs: 1})
			if tt.ok != (err == nil) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				typed(t, err)
				if _, err := s.Backend.Resolve(t.Context(), "a/b", "v"); !errors.Is(err, registry.ErrNotFound) {
					t.Errorf("the tag is there: %v", err)
				}
				return
			}
			if s.Count(http.MethodGet, "/blobs/uploads/") == 0 {
				t.Error("the session was not asked how far it came")
			}
			if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDC31_content_type_is_the_type: of each kind of manifest, without parameters, and what is inside.
func TestDC31_content_type_is_the_type(t *testing.T) {
	seen, f := pushOf(t, PushOptions{})
	n := 0
	for _, r := range seen {
		if r.Method != http.MethodPut || !strings.Contains(r.Path, "/manifests/") {
			continue
		}
		n++
		name := r.Path[strings.LastIndex(r.Path, "/")+1:]
		want := ispec.MediaTypeImageManifest
		if name == "v" {
			want = ispec.MediaTypeImageIndex
		}
		if got := r.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: Content-Type %q, want %q", name, got, want)
		}
	}
	if n != 3 {
		t.Errorf("%d manifests were put", n)
	}
	s := registrytest.New(t, registrytest.Options{})
	d := f.manifest
	d.MediaType = image.DockerManifest // the descriptor lies: the field inside is another
	err := newClient(t, Options{}).Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, d, PushOptions{})
	if !errors.Is(err, image.ErrMediaType) || s.Count(http.MethodPut, "/manifests/") != 0 {
		t.Errorf("a type that is not the field's: %v", err)
	}
}

// TestDC33_large_manifests: 4 MiB go there and back; what is refused for its size is told as that.
func TestDC33_large_manifests(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f, c := newFixture(t), newClient(t, Options{})
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: f.layers, Annotations: map[string]string{"pad": strings.Repeat("x", 4<<20)}}
	man.SchemaVersion = 2
	raw := mustJSON(t, man)
	d := ispec.Descriptor{MediaType: man.MediaType, Digest: f.store.add(raw), Size: int64(len(raw))}
	ref := mustRef(t, s.Host+"/a/b:v")
	if err := c.Push(t.Context(), ref, f.store, d, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	if _, err := pullInto(t, c, ref, m, PullOptions{}); err != nil || !bytes.Equal(m.blobs[d.Digest], raw) {
		t.Errorf("a manifest of %d bytes: %v", len(raw), err)
	}
	s.Inject(registrytest.Rule{Method: http.MethodPut, Path: "/manifests/", Fault: registrytest.Status(413)})
	err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:w"), f.store, d, PushOptions{})
	var se *StatusError
	if !errors.As(err, &se) || se.Status != 413 || !strings.Contains(err.Error(), "413 Request Entity Too Large") {
		t.Errorf("got %v", err)
	}
}

// TestDC34_one_put_a_tag: a tag is put by its name, which every registry takes; a second tag for what is
// there is one HEAD and one PUT.
func TestDC34_one_put_a_tag(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f, c := newFixture(t), newClient(t, Options{})
	for _, tag := range []string{"v1", "v2", "v3"} {
		s.Forget()
		if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:"+tag), f.store, f.manifest, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		if s.Count(http.MethodPut, "/manifests/"+tag) != 1 || tag != "v1" && s.Count(http.MethodPost, "") != 0 {
			t.Errorf("%s: %v", tag, s.Requests())
		}
		d, err := s.Backend.Resolve(t.Context(), "a/b", tag)
		if err != nil || d.Digest != f.manifest.Digest {
			t.Errorf("%s is %s, %v", tag, d.Digest, err)
		}
	}
}

// TestH72_push_of_no_digest: what is to be pushed has been described by others: a digest that is none is an
// error, and nothing is asked of the registry.
func TestH72_push_of_no_digest(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f, c := newFixture(t), newClient(t, Options{})
	for _, bad := range []digest.Digest{"", "sha256", ":", "sha256:../x", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		for _, ref := range []string{"/a/b:v", "/a/b"} {
			d := f.manifest
			d.Digest = bad
			err := c.Push(t.Context(), mustRef(t, s.Host+ref), f.store, d, PushOptions{Tags: []string{"w"}})
			if err == nil {
				t.Errorf("%q to %s was pushed", bad, ref)
				continue
			}
			typed(t, err)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}
