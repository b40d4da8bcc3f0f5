package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

func TestDC50_tags_follow_Link(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	want := []string{"latest"}
	for i := range 7 {
		tag := fmt.Sprintf("v%d", i)
		want = append(want, tag)
		if err := s.Backend.Tag(t.Context(), "team/app", tag, f.index); err != nil {
			t.Fatal(err)
		}
	}
	// The first request is answered as one of a small page would be: its Link leads on.
	s.Inject(registrytest.Rule{Path: "/tags/list", Times: 1, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.URL.RawQuery = "n=3"
		next.ServeHTTP(w, r)
	}})
	got, err := c.Tags(t.Context(), ref)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if n := s.Count(http.MethodGet, "/tags/list"); n != 3 {
		t.Errorf("%d requests, want 3: pages of three", n)
	}
	if _, err := c.Tags(t.Context(), mustRef(t, s.Host+"/no/such")); !errors.Is(err, ErrNotFound) {
		t.Errorf("of no repository: %v", err)
	}
}

func TestDC50_bad_lists(t *testing.T) {
	for name, body := range map[string]string{
		"no json":   `<html>`,
		"a list":    `["a"]`,
		"numbers":   `{"tags":[1]}`,
		"escape":    `{"tags":["\u001b[2J"]}`,
		"a path":    `{"tags":["../../etc/passwd"]}`,
		"empty":     `{"tags":[""]}`,
		"too long":  `{"tags":["` + strings.Repeat("a", 129) + `"]}`,
		"two lists": `{"tags":["a"]}{"tags":["b"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _, ref := setup(t, registrytest.Options{})
			s.Inject(registrytest.Rule{Path: "/tags/list", Fault: registrytest.Body("application/json", []byte(body))})
			if got, err := newClient(t, Options{}).Tags(t.Context(), ref); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Path: "/tags/list", Fault: registrytest.Body("application/json", []byte(`{"name":"team/app","tags":null}`))})
	if got, err := newClient(t, Options{}).Tags(t.Context(), ref); err != nil || got == nil || len(got) != 0 {
		t.Errorf("null is no tags: %v, %v", got, err)
	}
}

func TestDC50_Link_must_not_leave_the_registry(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Path: "/tags/list", Fault: registrytest.Header("Link", `<http://127.0.0.1:1/v2/x/tags/list>; rel="next"`)})
	if _, err := newClient(t, Options{}).Tags(t.Context(), ref); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
}

func TestDC50_a_list_without_end(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	s.Inject(registrytest.Rule{Path: "/tags/list", Fault: registrytest.Header("Link", `</v2/team/app/tags/list>; rel="next"`)})
	if _, err := newClient(t, Options{}).Tags(t.Context(), ref); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
}

func TestCatalog(t *testing.T) {
	s, f, _ := setup(t, registrytest.Options{})
	f.fill(t, s.Backend, "another")
	c := newClient(t, Options{})
	got, err := c.Catalog(t.Context(), s.Host)
	if err != nil || !slices.Equal(got, []string{"another", "team/app"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "no-host", "a/b.c", "http://localhost:1", "x y"} {
		if _, err := c.Catalog(t.Context(), bad); !errors.Is(err, reference.ErrSyntax) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDC51_delete(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	if err := s.Backend.Tag(t.Context(), "team/app", "other", f.index); err != nil {
		t.Fatal(err)
	}
	// A tag: the manifest and its other tag stay.
	if err := c.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), ref); !errors.Is(err, ErrNotFound) {
		t.Errorf("the tag is still there: %v", err)
	}
	other := mustRef(t, s.Host+"/team/app:other")
	if d, err := c.Resolve(t.Context(), other); err != nil || d.Digest != f.index.Digest {
		t.Errorf("the other tag: %v, %v", d, err)
	}
	// The manifest: its tags go with it.
	if err := c.Delete(t.Context(), ref.WithDigest(f.index.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), other); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag of a deleted manifest is still there: %v", err)
	}
	for _, gone := range []reference.Ref{ref, ref.WithDigest(f.index.Digest)} {
		if err := c.Delete(t.Context(), gone); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s, deleted twice: %v", gone, err)
		}
	}
	if err := c.DeleteBlob(t.Context(), ref, digest.FromString("nothing")); !errors.Is(err, ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
}

func TestDC51_refused(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusMethodNotAllowed} {
		s, _, ref := setup(t, registrytest.Options{})
		s.Inject(registrytest.Rule{Method: http.MethodDelete, Fault: registrytest.Status(status)})
		c := newClient(t, Options{})
		if _, err := c.Resolve(t.Context(), ref); err != nil { // a first answer of 400 could mean https
			t.Fatal(err)
		}
		if err := c.Delete(t.Context(), ref); !errors.Is(err, ErrNoDelete) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// withReferrer pushes a manifest whose subject is the fixture's, to a registry without the API.
func withReferrer(t *testing.T) (*Client, reference.Ref, ispec.Descriptor, ispec.Descriptor) {
	t.Helper()
	s, f, ref := setup(t, registrytest.Options{})
	s.Inject(
		registrytest.Rule{Path: "/referrers/", Fault: registrytest.Status(http.StatusNotFound)},
		registrytest.Rule{Method: http.MethodPut, Path: "/manifests/", Fault: registrytest.Header("OCI-Subject", "")},
	)
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/x.test",
		Config: ispec.DescriptorEmptyJSON, Layers: []ispec.Descriptor{ispec.DescriptorEmptyJSON}, Subject: &f.manifest,
	}
	m.SchemaVersion = 2
	f.store.add([]byte("{}"))
	raw := mustJSON(t, m)
	d := ispec.Descriptor{MediaType: m.MediaType, Digest: f.store.add(raw), Size: int64(len(raw))}
	c := newClient(t, Options{})
	if err := c.Push(t.Context(), ref.WithDigest(d.Digest), f.store, d, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	return c, ref, f.manifest, d
}

func TestDC45_a_deleted_referrer_leaves_the_list(t *testing.T) {
	c, ref, subject, d := withReferrer(t)
	list, err := c.Referrers(t.Context(), ref, subject.Digest, "")
	if err != nil || len(list) != 1 || list[0].Digest != d.Digest {
		t.Fatalf("before: %v, %v", list, err)
	}
	if err := c.Delete(t.Context(), ref.WithDigest(d.Digest)); err != nil {
		t.Fatal(err)
	}
	list, err = c.Referrers(t.Context(), ref, subject.Digest, "")
	if err != nil || len(list) != 0 {
		t.Errorf("after: %v, %v", list, err)
	}
	tag := ref
	tag.Tag = ReferrersTag(subject.Digest)
	if _, err := c.Resolve(t.Context(), tag); err != nil {
		t.Errorf("the list itself: %v", err)
	}
}

func TestRateLimit(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	r, err := c.RateLimit(t.Context(), ref)
	if err != nil || r.Known() {
		t.Errorf("without headers: %+v, %v", r, err)
	}
	s.Inject(registrytest.Rule{Method: http.MethodHead, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "76;w=21600")
		w.Header().Set("Docker-RateLimit-Source", "192.0.2.7")
		next.ServeHTTP(w, r)
	}})
	r, err = c.RateLimit(t.Context(), ref)
	if want := (RateLimit{100, 76, 6 * time.Hour, "192.0.2.7"}); err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	if n := s.Count(http.MethodGet, "/manifests/"); n != 0 {
		t.Errorf("%d manifests were fetched: that counts as pulls", n)
	}
	s.Heal()
	s.Inject(registrytest.Rule{Method: http.MethodHead, Fault: registrytest.Status(http.StatusTooManyRequests, "Retry-After", "3600")})
	if _, err := c.RateLimit(t.Context(), ref); !errors.Is(err, ErrRateLimited) {
		t.Errorf("429: %v", err)
	}
	for _, text := range []string{"", "x", "-1", "9999999999999999999999", ";w=1"} {
		if n, w := quota(text); n != -1 || w != 0 {
			t.Errorf("%q: %d, %v", text, n, w)
		}
	}
}

func TestStatBlob(t *testing.T) {
	_, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	d, err := c.StatBlob(context.Background(), ref, f.layers[0].Digest)
	if err != nil || d.Size != f.layers[0].Size {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := c.StatBlob(t.Context(), ref, digest.FromString("nothing")); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := c.StatBlob(t.Context(), ref, "sha256:x"); !errors.Is(err, image.ErrDigestInvalid) {
		t.Error(err)
	}
}

// FuzzNames: what is accepted as a list of tags makes references, and nothing that is accepted can do
// something to a terminal.
func FuzzNames(f *testing.F) {
	for _, s := range []string{`{"tags":["a","1.2-x_y"]}`, `{"tags":null}`, `{"tags":[""]}`, `{"repositories":["a/b"]}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tags, err := decodeNames(raw, "tags", true)
		for _, tag := range tags {
			if r, perr := reference.Parse("example.org/x:" + tag); perr != nil || r.Tag != tag {
				t.Errorf("%q is no tag: %v", tag, perr)
			}
		}
		if err != nil && (tags != nil || !errors.Is(err, ErrProtocol)) {
			t.Errorf("%q and %v", tags, err)
		}
		names, _ := decodeNames(raw, "repositories", false)
		for _, n := range names {
			if strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e }) {
				t.Errorf("%q was accepted", n)
			}
		}
	})
}
