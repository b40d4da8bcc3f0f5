package distribution

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// proved fails the test unless every blob of m is what its digest says.
func proved(t *testing.T, m *memory) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for d, raw := range m.blobs {
		if d.Algorithm().FromBytes(raw) != d {
			t.Errorf("%s in the store is something else", d)
		}
	}
}

// typed fails the test unless err has a kind of this package or of package image.
func typed(t *testing.T, err error) {
	t.Helper()
	kinds := []error{
		ErrNotFound, ErrUnauthorized, ErrRateLimited, ErrServer, ErrTimeout, ErrNetwork, ErrInsecure, ErrProtocol,
		image.ErrMalformed, image.ErrTooLarge, image.ErrMediaType, image.ErrNoDigest, image.ErrDigestInvalid,
		image.ErrAlgorithm, image.ErrDigestMismatch, image.ErrSizeMismatch, image.ErrNoPlatform,
	}
	var status *StatusError
	if !slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) }) && !errors.As(err, &status) {
		t.Errorf("an error of no kind: %v", err)
	}
}

// wide is the fixture's image with digests of sha512 all through.
func wide(t *testing.T, f *fixture) (m ispec.Descriptor, blobs []ispec.Descriptor) {
	t.Helper()
	again := func(d ispec.Descriptor) ispec.Descriptor {
		raw := f.store.blobs[d.Digest]
		d.Digest = digest.SHA512.FromBytes(raw)
		f.store.blobs[d.Digest] = raw
		return d
	}
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: again(f.config)}
	man.SchemaVersion = 2
	for _, l := range f.layers {
		man.Layers = append(man.Layers, again(l))
	}
	raw := mustJSON(t, man)
	m = ispec.Descriptor{MediaType: man.MediaType, Digest: digest.SHA512.FromBytes(raw), Size: int64(len(raw))}
	f.store.blobs[m.Digest] = raw
	return m, append([]ispec.Descriptor{man.Config}, man.Layers...)
}

// TestDC02_nothing_else_is_asked_for: what follows a repository on the wire is a tag or a digest.
func TestDC02_nothing_else_is_asked_for(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	for _, r := range []reference.Ref{ref, ref.WithDigest(f.index.Digest)} {
		if _, err := pullInto(t, c, r, newMemory(), PullOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.Requests() {
		name := r.Path[strings.LastIndex(r.Path, "/")+1:]
		if err := image.ValidateDigest(digest.Digest(name)); err != nil && !validTag(name) {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
	for _, bad := range []string{":.x", ":", "@sha256:abc", "@md5:d41d8cd98f00b204e9800998ecf8427e", ":a/b", ":" + strings.Repeat("a", 129), "@sha256:" + strings.Repeat("A", 64)} {
		if r, err := reference.Parse(s.Host + "/team/app" + bad); err == nil {
			t.Errorf("%q was taken for %v", bad, r)
		}
	}
}

// TestDC05_media_types_agree: the type inside, the type outside, and the type of the descriptor.
func TestDC05_media_types_agree(t *testing.T) {
	const m, x = ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex
	for _, tt := range []struct {
		name, inside, outside, known string
		ok                           bool
	}{
		{"all agree", m, m, m, true},
		{"nothing known before", m, m, "", true},
		{"a file server", m, "application/octet-stream", m, true},
		{"no header", m, "", "", true},
		{"no field", "", m, m, true},
		{"docker's is another", m, image.DockerManifest, m, false},
		{"an index outside", m, x, "", false},
		{"an index inside", x, m, "", false},
		{"the descriptor says index", m, m, x, false},
		{"the descriptor says docker", m, "", image.DockerManifest, false},
		{"no field, index outside", "", x, m, false},
		{"html", m, "text/html", m, false},
		{"upper case is the same type", m, strings.ToUpper(m), m, true}, // RFC 9110 8.3.1
		{"no type at all", m, "x", m, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			man := ispec.Manifest{MediaType: tt.inside, Config: f.config, Layers: f.layers}
			man.SchemaVersion = 2
			raw := mustJSON(t, man)
			d := ispec.Descriptor{MediaType: tt.known, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
			s.Inject(registrytest.Rule{Path: "/manifests/", Fault: registrytest.Body(tt.outside, raw)})
			_, got, err := newClient(t, Options{}).Manifest(t.Context(), ref, d)
			switch {
			case tt.ok && (err != nil || got.MediaType != m):
				t.Errorf("got %q, %v", got.MediaType, err)
			case !tt.ok && !errors.Is(err, image.ErrMediaType):
				t.Errorf("got %q, %v; want ErrMediaType", got.MediaType, err)
			}
		})
	}
}

// TestDC06_digest_header: what the header says is proved whenever it can be.
func TestDC06_digest_header(t *testing.T) {
	f := newFixture(t)
	raw := f.store.blobs[f.manifest.Digest]
	wrong := digest.FromString("another")
	for _, tt := range []struct {
		name, header string
		want         error
	}{
		{"right", f.manifest.Digest.String(), nil},
		{"right, sha512", digest.SHA512.FromBytes(raw).String(), nil},
		{"absent", "", nil},
		{"of no known algorithm", "blake3:" + strings.Repeat("0", 64), nil},
		{"wrong", wrong.String(), image.ErrDigestMismatch},
		{"wrong, sha512", digest.SHA512.FromString("another").String(), image.ErrDigestMismatch},
		{"upper case", "sha256:" + strings.ToUpper(f.manifest.Digest.Encoded()), image.ErrDigestInvalid},
		{"cut", f.manifest.Digest.String()[:70], image.ErrDigestInvalid},
		{"a path", "sha256:../../../etc/passwd", image.ErrDigestInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			s.Inject(registrytest.Rule{Method: http.MethodGet, Path: "/manifests/" + f.manifest.Digest.String(), Fault: registrytest.Header("Docker-Content-Digest", tt.header)})
			m := newMemory()
			_, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if ok, _ := m.Has(t.Context(), f.manifest); ok != (tt.want == nil) {
				t.Errorf("the manifest is in the store: %v", ok)
			}
		})
	}
}

// TestDC07_another_manifest: a good manifest with its own good digest is not the one asked for.
func TestDC07_another_manifest(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	other := f.store.blobs[f.other.Digest]
	large, _ := wide(t, f)
	f.fill(t, s.Backend, "team/app")
	s.Inject(registrytest.Rule{Method: http.MethodGet, Path: "/manifests/sha", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Docker-Content-Digest", f.other.Digest.String())
		registrytest.Body(ispec.MediaTypeImageManifest, other)(w, r, next)
	}})
	for _, d := range []digest.Digest{f.manifest.Digest, large.Digest} {
		for _, known := range []ispec.Descriptor{{Digest: d}, {Digest: d, Size: int64(len(other)), MediaType: ispec.MediaTypeImageManifest}} {
			m := newMemory()
			if _, _, err := newClient(t, Options{}).Manifest(t.Context(), ref, known); !errors.Is(err, image.ErrDigestMismatch) {
				t.Errorf("%s: got %v", d, err)
			}
			_, err := pullInto(t, newClient(t, Options{}), ref.WithDigest(d), m, PullOptions{})
			if err == nil || len(m.blobs) != 0 {
				t.Errorf("%s: got %v, %d blobs in the store", d, err, len(m.blobs))
			}
			typed(t, err)
		}
	}
	s.Heal()
	m := newMemory()
	res, err := pullInto(t, newClient(t, Options{}), ref.WithDigest(large.Digest), m, PullOptions{})
	if err != nil || res.Resolved.Manifest.Digest != large.Digest {
		t.Errorf("sha512: %v", err)
	}
	proved(t, m)
}

// TestDC08_blob_digests: sha512 is proved as sha256 is, and so is a header that speaks of the same.
func TestDC08_blob_digests(t *testing.T) {
	for name, tt := range map[string]struct {
		fault registrytest.Fault
		want  error
	}{
		"right":                        {registrytest.Flip(1 << 30), nil},
		"flipped":                      {registrytest.Flip(7), image.ErrDigestMismatch},
		"header right":                 {registrytest.Header("Docker-Content-Digest", ""), nil},
		"header of another algorithm":  {registrytest.Header("Docker-Content-Digest", digest.FromString("not used").String()), nil},
		"header of another, and wrong": {registrytest.Header("Docker-Content-Digest", digest.SHA512.FromString("x").String()), image.ErrDigestMismatch},
		"header is no digest":          {registrytest.Header("Docker-Content-Digest", "sha512:"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			man, blobs := wide(t, f)
			f.fill(t, s.Backend, "team/app")
			s.Inject(registrytest.Rule{Path: "/blobs/" + blobs[2].Digest.String(), Fault: tt.fault})
			m := newMemory()
			_, err := pullInto(t, newClient(t, Options{}), ref.WithDigest(man.Digest), m, PullOptions{})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if ok, _ := m.Has(t.Context(), blobs[2]); ok != (tt.want == nil) {
				t.Errorf("the layer is in the store: %v", ok)
			}
			proved(t, m)
		})
	}
}

// TestDC09_without_docker_headers: a registry that sends none of Docker's headers, and codes of errors
// that only Docker's had, is pulled from and pushed to.
func TestDC09_without_docker_headers(t *testing.T) {
	strip := registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(stripped{w, "Docker-"}, r)
	}}
	s, f, ref := setup(t, registrytest.Options{})
	s.Inject(strip)
	m := newMemory()
	c := newClient(t, Options{})
	if _, err := pullInto(t, c, ref, m, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.blobs[f.layers[1].Digest], f.store.blobs[f.layers[1].Digest]) {
		t.Error("the layer is not there")
	}
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/new/app:v"), f.store, f.index, PushOptions{ChunkSize: 100_000}); err != nil {
		t.Error(err)
	}
	for code, status := range map[string]int{"TAG_INVALID": 404, "MANIFEST_UNVERIFIED": 400, "UNSUPPORTED": 404, "NAME_UNKNOWN": 500} {
		s.Heal()
		s.Inject(registrytest.Rule{Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"errors":[{"code":"` + code + `"}]}`))
		}})
		_, err := newClient(t, Options{}).Resolve(t.Context(), ref)
		if errors.Is(err, ErrNotFound) != (status == 404) || errors.Is(err, ErrServer) != (status == 500) {
			t.Errorf("%s with %d: the status alone tells, got %v", code, status, err)
		}
	}
}

// stripped leaves out the headers of an answer that have a prefix.
type stripped struct {
	http.ResponseWriter
	prefix string
}

func (s stripped) WriteHeader(code int) {
	for k := range s.Header() {
		if strings.HasPrefix(k, s.prefix) {
			s.Header().Del(k)
		}
	}
	s.ResponseWriter.WriteHeader(code)
}

// TestDC11_existence: HEAD tells whether a blob or a manifest is there, and 404 that it is not.
func TestDC11_existence(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	got, err := c.StatBlob(t.Context(), ref, f.layers[1].Digest)
	if err != nil || got.Size != f.layers[1].Size {
		t.Errorf("a blob that is there: %+v, %v", got, err)
	}
	if _, err := c.StatBlob(t.Context(), ref, digest.FromString("none")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a blob that is not: %v", err)
	}
	if _, err := c.Resolve(t.Context(), ref.WithDigest(digest.FromString("none"))); !errors.Is(err, ErrNotFound) {
		t.Errorf("a manifest that is not: %v", err)
	}
	for _, r := range s.Requests() {
		if r.Method != http.MethodHead {
			t.Errorf("%s %s: HEAD is enough", r.Method, r.Path)
		}
	}
	// What is there is not sent, what is not is.
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/team/app:again"), f.store, f.manifest, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(http.MethodPost, "/blobs/"); n != 0 {
		t.Errorf("%d blobs were sent that are there", n)
	}
	s.Forget()
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/another/app:v"), f.store, f.manifest, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(http.MethodPost, "/blobs/"); n != 1+len(f.layers) {
		t.Errorf("%d uploads, want the config and the layers", n)
	}
	for _, status := range []int{400, 401, 405, 500} { // none of which is "absent"
		s.Inject(registrytest.Rule{Method: http.MethodHead, Path: "/blobs/", Fault: registrytest.Status(status)})
		if err := c.Push(t.Context(), mustRef(t, s.Host+"/third/app:v"), f.store, f.manifest, PushOptions{}); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("HEAD answers %d: got %v", status, err)
		}
		s.Heal()
	}
}

// TestDC53_older_registries: one of version 1.0, which has no referrers, no OCI headers, no mounts, no
// deletes, no HEAD for manifests and no ranges.
func TestDC53_older_registries(t *testing.T) {
	old := registrytest.Rule{Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		manifest := strings.Contains(r.URL.Path, "/manifests/")
		switch {
		case strings.Contains(r.URL.Path, "/referrers/"):
			registrytest.Status(404)(w, r, next)
			return
		case r.Method == http.MethodHead && manifest, r.Method == http.MethodDelete:
			registrytest.Status(405)(w, r, next)
			return
		case r.Method == http.MethodPost:
			r.URL.RawQuery = ""
		}
		r.Header.Del("Range")
		next.ServeHTTP(stripped{stripped{w, "Oci-"}, "Docker-Content"}, r)
	}}
	s, f, ref := setup(t, registrytest.Options{})
	s.Inject(old)
	c := newClient(t, Options{})
	m := newMemory()
	if _, err := pullInto(t, c, ref, m, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	proved(t, m)
	to := mustRef(t, s.Host+"/new/app:v")
	if err := c.Push(t.Context(), to, f.store, f.index, PushOptions{MountFrom: "team/app"}); err != nil {
		t.Fatal(err)
	}
	d := signature(t, f, "old")
	if err := c.Push(t.Context(), to.WithDigest(d.Digest), f.store, d, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := c.Referrers(t.Context(), to, f.manifest.Digest, "")
	if err != nil || len(list) != 1 || list[0].Digest != d.Digest {
		t.Errorf("referrers: %v, %v", list, err)
	}
	tags, err := c.Tags(t.Context(), to)
	if err != nil || !slices.Contains(tags, "v") {
		t.Errorf("tags: %v, %v", tags, err)
	}
	if err := c.Delete(t.Context(), to); !errors.Is(err, ErrNoDelete) {
		t.Errorf("delete: %v", err)
	}
	pulledBack(t, c, to.String(), f)
}
