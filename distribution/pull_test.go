package distribution

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

func TestPull(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c, m := newClient(t, Options{}), newMemory()
	var mu sync.Mutex
	var done []digest.Digest
	kinds := map[image.EventKind]int{}
	o := PullOptions{
		OnLayer: func(_ int, l image.Layer) {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, l.Descriptor.Digest)
			if l.DiffID == "" {
				t.Errorf("layer %s without a DiffID", l.Descriptor.Digest)
			}
			if ok, _ := m.Has(t.Context(), l.Descriptor); !ok {
				t.Errorf("layer %s is reported before it is there", l.Descriptor.Digest)
			}
		},
		Events: func(e image.Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds[e.Kind]++
			if e.Ref != ref.String() {
				t.Errorf("event of %q, want %q", e.Ref, ref)
			}
		},
	}
	res, err := pullInto(t, c, ref, m, o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Resolved.Root.Digest != f.index.Digest || res.Resolved.Manifest.Digest != f.manifest.Digest || res.Image.ID() != f.config.Digest {
		t.Errorf("got %+v", res.Resolved)
	}
	if len(done) != 3 || len(res.Image.Layers()) != 3 {
		t.Errorf("layers: reported %d, image has %d, want 3", len(done), len(res.Image.Layers()))
	}
	want := f.index.Size + f.manifest.Size + f.config.Size
	for _, l := range f.layers {
		want += l.Size
	}
	if res.BytesFetched != want || res.BytesReused != 0 {
		t.Errorf("fetched %d, reused %d; want %d, 0", res.BytesFetched, res.BytesReused, want)
	}
	if kinds[image.EventResolved] != 1 || kinds[image.EventDone] != 4 || kinds[image.EventFailed] != 0 {
		t.Errorf("events: %v", kinds)
	}
	if ok, _ := m.Has(t.Context(), f.other); ok {
		t.Error("the manifest of another platform was fetched")
	}

	if got := s.Requests(); len(got) != 6 || got[0].Method != http.MethodGet {
		t.Errorf("a first pull is a GET for each of index, manifest, config and layers; got %v", got)
	}

	s.Forget()
	done = nil
	o.Known = res.Resolved.Root
	res, err = pullInto(t, c, ref, m, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Requests(); len(got) != 1 || got[0].Method != http.MethodHead {
		t.Errorf("a second pull is one HEAD; got %v", got)
	}
	if res.BytesFetched != 0 || res.BytesReused != want || len(done) != 3 {
		t.Errorf("second pull: fetched %d, reused %d, layers %d", res.BytesFetched, res.BytesReused, len(done))
	}
}

func TestPullLargestFirst(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.Requests() {
		if i := strings.Index(r.Path, "/blobs/"); i >= 0 {
			got = append(got, r.Path[i+len("/blobs/"):])
		}
	}
	want := []string{f.config.Digest.String(), f.layers[1].Digest.String(), f.layers[2].Digest.String(), f.layers[0].Digest.String()}
	if !slices.Equal(got, want) {
		t.Errorf("order of blobs:\n got %v\nwant %v", got, want)
	}
}

func TestDC03_accept_lists_all_types(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s %s: Accept-Encoding %q", r.Method, r.Path, r.Header.Get("Accept-Encoding"))
		}
		if !strings.Contains(r.Path, "/manifests/") {
			continue
		}
		for _, mt := range []string{ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex, image.DockerManifest, image.DockerManifestList} {
			if !strings.Contains(r.Header.Get("Accept"), mt) {
				t.Errorf("%s %s: Accept lacks %s", r.Method, r.Path, mt)
			}
		}
	}
}

func TestH86_name_is_resolved_once(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count("", "/manifests/latest"); n != 1 {
		t.Errorf("the tag was asked for %d times", n)
	}
}

func TestResolveWithoutUsefulHead(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"405":               registrytest.Status(http.StatusMethodNotAllowed),
		"no digest":         registrytest.Header("Docker-Content-Digest", ""),
		"no type":           registrytest.Header("Content-Type", ""),
		"DC-09 file server": registrytest.Header("Content-Type", "application/octet-stream"),
	} {
		t.Run(name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			s.Inject(registrytest.Rule{Method: http.MethodHead, Fault: fault})
			d, err := newClient(t, Options{}).Resolve(t.Context(), ref)
			if err != nil || d.Digest != f.index.Digest || d.Size != f.index.Size || d.MediaType != f.index.MediaType {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

func TestResolveByDigest(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	d, err := c.Resolve(t.Context(), ref.WithDigest(f.manifest.Digest))
	if err != nil || d.Digest != f.manifest.Digest {
		t.Errorf("got %+v, %v", d, err)
	}
	// DC-06: the header may be of another algorithm; it says nothing against the digest asked for.
	raw := f.store.blobs[f.manifest.Digest]
	s.Inject(registrytest.Rule{Fault: registrytest.Header("Docker-Content-Digest", digest.SHA512.FromBytes(raw).String())})
	if d, err = c.Resolve(t.Context(), ref.WithDigest(f.manifest.Digest)); err != nil || d.Digest != f.manifest.Digest {
		t.Errorf("sha512 in the header: got %+v, %v", d, err)
	}
	if _, _, err = c.Manifest(t.Context(), ref, f.manifest); err != nil {
		t.Errorf("sha512 in the header of the manifest: %v", err)
	}
	s.Heal()
	s.Inject(registrytest.Rule{Fault: registrytest.Header("Docker-Content-Digest", f.index.Digest.String())})
	if _, err = c.Resolve(t.Context(), ref.WithDigest(f.manifest.Digest)); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("another digest in the header: got %v", err)
	}
}

// lie is an answer that must not be believed, and what it must give.
type lie struct {
	name string
	rule registrytest.Rule
	want error
}

func manifestLies(f *fixture) []lie {
	rule := func(part string, fault registrytest.Fault) registrytest.Rule {
		return registrytest.Rule{Method: http.MethodGet, Path: part, Fault: fault}
	}
	man := "/manifests/" + f.manifest.Digest.String()
	raw := f.store.blobs[f.manifest.Digest]
	both := []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`)
	return []lie{
		{"DC-07 flipped byte", rule(man, registrytest.Flip(10)), image.ErrDigestMismatch},
		{"H-70 short", rule(man, registrytest.Short(1)), image.ErrSizeMismatch},
		{"H-70 long", rule(man, registrytest.Long(1)), image.ErrSizeMismatch},
		{"H-76 endless", rule(man, registrytest.Endless()), image.ErrSizeMismatch},
		{"DC-05 content type", rule(man, registrytest.Header("Content-Type", ispec.MediaTypeImageIndex)), image.ErrMediaType},
		{"DC-05 docker's type", rule(man, registrytest.Body(image.DockerManifest, raw)), image.ErrMediaType},
		{"DC-06 digest header", rule(man, registrytest.Header("Docker-Content-Digest", f.index.Digest.String())), image.ErrDigestMismatch},
		{"H-72 digest header", rule(man, registrytest.Header("Docker-Content-Digest", "sha256:../../etc/passwd")), image.ErrDigestInvalid},
		{"H-72 resolve header", registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Header("Docker-Content-Digest", "sha256:ABC")}, image.ErrDigestInvalid},
		{"H-72 resolve algorithm", registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Header("Docker-Content-Digest", "md5:d41d8cd98f00b204e9800998ecf8427e")}, image.ErrAlgorithm},
		{"H-76 claimed size", registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Header("Content-Length", "9000000")}, image.ErrTooLarge},
		{"H-75 both kinds", rule("/manifests/latest", registrytest.Body(ispec.MediaTypeImageIndex, both)), image.ErrAmbiguous},
		{"404", registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Status(404)}, ErrNotFound},
		{"H-72 header of the name", rule("/manifests/latest", registrytest.Header("Docker-Content-Digest", "sha256:ABC")), image.ErrDigestInvalid},
		{"DC-06 header of the name", rule("/manifests/latest", registrytest.Header("Docker-Content-Digest", f.manifest.Digest.String())), image.ErrDigestMismatch},
		{"H-76 claimed size of the name", rule("/manifests/latest", registrytest.Header("Content-Length", "9000000")), image.ErrTooLarge},
		{"H-76 endless name", rule("/manifests/latest", registrytest.Endless()), image.ErrTooLarge},
		{"404 of the name", rule("/manifests/latest", registrytest.Status(404)), ErrNotFound},
		{"404 manifest", rule(man, registrytest.Status(404)), ErrNotFound},
		{"401", rule(man, registrytest.Status(401)), ErrUnauthorized},
		{"403", rule(man, registrytest.Status(403)), ErrUnauthorized},
		{"500", rule(man, registrytest.Status(500)), ErrServer},
		{"503", rule(man, registrytest.Status(503)), ErrServer},
		{"429", rule(man, registrytest.Status(429)), ErrRateLimited},
		{"429 long", rule(man, registrytest.Status(429, "Retry-After", "86400")), ErrRateLimited},
		{"dropped", rule(man, registrytest.Drop()), ErrNetwork},
		{"redirect loop", rule(man, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}), ErrProtocol},
	}
}

func TestPullManifestLies(t *testing.T) {
	for _, l := range manifestLies(newFixture(t)) {
		t.Run(l.name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			m := newMemory()
			s.Inject(l.rule)
			var o PullOptions
			if l.rule.Method == http.MethodHead { // only a known name is asked for by HEAD
				o.Known = f.manifest
			}
			_, err := pullInto(t, newClient(t, Options{}), ref, m, o)
			if !errors.Is(err, l.want) {
				t.Fatalf("got %v, want %v", err, l.want)
			}
			if ok, _ := m.Has(t.Context(), f.manifest); ok {
				t.Error("a manifest that was lied about is in the sink")
			}
			for d, raw := range m.blobs {
				if digest.FromBytes(raw) != d {
					t.Errorf("%s in the sink is something else", d)
				}
			}
		})
	}
}

func TestDC04_parameters_of_content_type(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Path: "/manifests/latest", Fault: registrytest.Header("Content-Type", ispec.MediaTypeImageIndex+"; charset=utf-8")},
		registrytest.Rule{Path: "/manifests/", Fault: registrytest.Header("Content-Type", ispec.MediaTypeImageManifest+`;v="1"`), Skip: 1})
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPullRefusesBeforeFetching(t *testing.T) {
	tests := []struct {
		name     string
		manifest func(f *fixture) ispec.Manifest
		platform ispec.Platform
		want     error
	}{
		{"config of 1 GiB", func(f *fixture) ispec.Manifest {
			d := f.config
			d.Size = 1 << 30
			return ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: d, Layers: f.layers}
		}, testPlatform(), image.ErrTooLarge},
		{"unknown algorithm", func(f *fixture) ispec.Manifest {
			d := f.layers[0]
			d.Digest = "md5:d41d8cd98f00b204e9800998ecf8427e"
			return ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: []ispec.Descriptor{d}}
		}, testPlatform(), image.ErrAlgorithm},
		{"an artifact", func(f *fixture) ispec.Manifest {
			d := f.config
			d.MediaType = "application/vnd.example.config+json"
			return ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: d, Layers: f.layers}
		}, testPlatform(), image.ErrMediaType},
		{"another platform", func(f *fixture) ispec.Manifest {
			return ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: f.layers}
		}, ispec.Platform{OS: "linux", Architecture: "riscv64"}, image.ErrNoPlatform},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			man := tt.manifest(f)
			man.SchemaVersion = 2
			raw := mustJSON(t, man)
			d := ispec.Descriptor{MediaType: man.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
			s.Inject(registrytest.Rule{Path: "/manifests/bad", Fault: registrytest.Body(d.MediaType, raw)},
				registrytest.Rule{Path: d.Digest.String(), Fault: registrytest.Body(d.MediaType, raw)})
			ref.Tag = "bad"
			_, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Platform: tt.platform})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := s.Count(http.MethodGet, "/blobs/"); n != 0 && tt.want != image.ErrNoPlatform { //nolint:errorlint // a table entry
				t.Errorf("%d blobs were fetched", n)
			}
		})
	}
	_, _, ref := setup(t, registrytest.Options{})
	_, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Platform: ispec.Platform{OS: "plan9", Architecture: "mips"}})
	if !errors.Is(err, image.ErrNoPlatform) || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("no such platform in the index: got %v, want the platforms it has", err)
	}
}

func TestNotARegistryName(t *testing.T) {
	c := newClient(t, Options{})
	for _, s := range []string{"oci:/tmp/x:y", "docker-archive:/tmp/x"} {
		if _, err := c.Resolve(t.Context(), mustRef(t, s)); !errors.Is(err, reference.ErrTransport) {
			t.Errorf("%s: got %v", s, err)
		}
	}
}

func TestSinkFailureEndsPull(t *testing.T) {
	_, _, ref := setup(t, registrytest.Options{})
	m := newMemory()
	m.writeErr = errors.New("no space left")
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); !errors.Is(err, m.writeErr) {
		t.Errorf("got %v, want the error of the sink", err)
	}
}

func TestSameLayerTwice(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	config := mustJSON(t, ispec.Image{Platform: testPlatform(), RootFS: ispec.RootFS{
		Type: "layers", DiffIDs: []digest.Digest{digest.FromString("a"), digest.FromString("b")},
	}})
	cd := ispec.Descriptor{MediaType: ispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: cd, Layers: []ispec.Descriptor{f.layers[0], f.layers[0]}}
	man.SchemaVersion = 2
	raw := mustJSON(t, man)
	ref = ref.WithDigest(digest.FromBytes(raw))
	if err := s.Backend.PutBlob(t.Context(), "team/app", cd, bytes.NewReader(config)); err != nil {
		t.Fatal(err)
	}
	s.Inject(registrytest.Rule{Path: ref.Digest.String(), Fault: registrytest.Body(man.MediaType, raw)})
	var mu sync.Mutex
	got := map[digest.Digest]int{}
	var order []int
	_, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{OnLayer: func(i int, l image.Layer) {
		mu.Lock()
		defer mu.Unlock()
		got[l.DiffID]++
		order = append(order, i)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !slices.Equal(order, []int{1, 2}) || s.Count(http.MethodGet, f.layers[0].Digest.String()) != 1 {
		t.Errorf("layers reported: %v, as %v; fetched %d times", got, order, s.Count(http.MethodGet, f.layers[0].Digest.String()))
	}
}
