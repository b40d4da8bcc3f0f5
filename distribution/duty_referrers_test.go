package distribution

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestDC41_tag_schema: without the API, the tag; and what is no index there is an empty list.
func TestDC41_tag_schema(t *testing.T) {
	f := newFixture(t)
	for name, tt := range map[string]struct {
		mediaType, body string
		n               int
	}{
		"an index":    {ispec.MediaTypeImageIndex, `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageIndex + `","manifests":[` + string(mustJSON(t, f.manifest)) + `]}`, 1},
		"a manifest":  {ispec.MediaTypeImageManifest, string(f.store.blobs[f.manifest.Digest]), 0},
		"html":        {"text/html", "<html>", 0},
		"no JSON":     {ispec.MediaTypeImageIndex, "x", 0},
		"bad digests": {ispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../x","size":1}]}`, 0},
		"two kinds":   {ispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{Registry: registry.Options{NoReferrersAPI: true}})
			tag := ReferrersTag(f.manifest.Digest)
			s.Inject(registrytest.Rule{Path: "/manifests/" + tag, Fault: registrytest.Body(tt.mediaType, []byte(tt.body))})
			list, err := newClient(t, Options{}).Referrers(t.Context(), ref, f.manifest.Digest, "")
			if err != nil || len(list) != tt.n {
				t.Errorf("got %v, %v; want %d", list, err, tt.n)
			}
			if s.Count(http.MethodGet, "/referrers/") != 1 {
				t.Error("the API was not asked first")
			}
		})
	}
	s, f, ref := setup(t, registrytest.Options{})
	for _, status := range []int{403, 500} { // no word of "there is no such API"
		s.Inject(registrytest.Rule{Path: "/referrers/", Fault: registrytest.Status(status)})
		if list, err := newClient(t, Options{}).Referrers(t.Context(), ref, f.manifest.Digest, ""); err == nil {
			t.Errorf("%d: got %v", status, list)
		}
		s.Heal()
	}
}

// TestDC43_filters: whatever OCI-Filters-Applied says, what is returned is of the type.
func TestDC43_filters(t *testing.T) {
	f := newFixture(t)
	all := f.manifest
	all.ArtifactType = "application/vnd.example.sig"
	other := f.other
	other.ArtifactType = "application/vnd.example.sbom"
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{all, other}}
	idx.SchemaVersion = 2
	body := mustJSON(t, idx)
	for _, applied := range []string{"", "artifactType", "artifactType, annotations", "annotations"} {
		s, f, ref := setup(t, registrytest.Options{})
		s.Inject(registrytest.Rule{Path: "/referrers/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Query().Get("artifactType") != all.ArtifactType {
				t.Errorf("asked with ?%s", r.URL.RawQuery)
			}
			if applied != "" {
				w.Header().Set("Oci-Filters-Applied", applied)
			}
			registrytest.Body(idx.MediaType, body)(w, r, next)
		}})
		list, err := newClient(t, Options{}).Referrers(t.Context(), ref, f.index.Digest, all.ArtifactType)
		if err != nil || len(list) != 1 || list[0].Digest != all.Digest {
			t.Errorf("%q: got %v, %v", applied, list, err)
		}
	}
}

// TestIS_M7_subject_is_a_weak_link: a manifest goes where its subject is not, comes back from there, and is
// found there by the digest of what is absent.
func TestIS_M7_subject_is_a_weak_link(t *testing.T) {
	for name, o := range map[string]registrytest.Options{"API": {}, "tag schema": {Registry: registry.Options{NoReferrersAPI: true}}} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.New(t, o)
			f, c := newFixture(t), newClient(t, Options{})
			d := signature(t, f, "alone")
			ref := mustRef(t, s.Host+"/sig/only:v")
			if err := c.Push(t.Context(), ref, f.store, d, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if n := s.Count("", f.manifest.Digest.String()); name == "API" && n != 0 {
				t.Errorf("the subject was asked for %d times", n)
			}
			m := newMemory()
			res, err := pullInto(t, c, ref, m, PullOptions{Artifacts: true})
			if err != nil || !res.Artifact || res.Resolved.Manifest.Digest != d.Digest {
				t.Fatalf("got %+v, %v", res, err)
			}
			if ok, _ := m.Has(t.Context(), f.manifest); ok {
				t.Error("the subject came from nowhere")
			}
			list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, "")
			if err != nil || len(list) != 1 || list[0].Digest != d.Digest {
				t.Errorf("referrers: %v, %v", list, err)
			}
		})
	}
}

// TestDC40_subject_of_another: an OCI-Subject that is not the subject which was sent says nothing of it: the
// list under the referrers tag is kept.
func TestDC40_subject_of_another(t *testing.T) {
	for _, said := range []string{digest.FromString("another").String(), "true", "sha256:../x"} {
		s := registrytest.New(t, registrytest.Options{Registry: registry.Options{NoReferrersAPI: true}})
		f, c := newFixture(t), newClient(t, Options{})
		s.Inject(registrytest.Rule{Method: http.MethodPut, Path: "/manifests/", Fault: registrytest.Header("Oci-Subject", said)})
		d := signature(t, f, "lied about")
		ref := mustRef(t, s.Host+"/a/b:v")
		if err := c.Push(t.Context(), ref, f.store, d, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, "")
		if err != nil || len(list) != 1 || list[0].Digest != d.Digest {
			t.Errorf("OCI-Subject: %s: %v, %v", said, list, err)
		}
	}
}
