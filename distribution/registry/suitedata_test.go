package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A data set is what is pushed together: blobs, then manifests (children first), then tags.
type dataSet struct {
	algorithm digest.Algorithm
	blobs     map[digest.Digest]string
	manifests []pushed
	tags      map[string]int // to the manifest of that number
	sparse    bool           // some blobs are not pushed
	tagParam  bool           // tags go with the push by digest
}

// pushed is a manifest of a data set.
type pushed struct {
	raw, mediaType string
	digest         digest.Digest
}

func (m pushed) manifest() Manifest {
	return Manifest{Descriptor: ispec.Descriptor{MediaType: m.mediaType, Digest: m.digest}, Raw: []byte(m.raw)}
}

func (m pushed) subject() digest.Digest {
	if !strings.Contains(m.raw, `"subject"`) {
		return ""
	}
	d, _ := Referrer(m.manifest())
	return d
}

func newData(a digest.Algorithm) *dataSet {
	return &dataSet{algorithm: a, blobs: map[digest.Digest]string{}, tags: map[string]int{}}
}

func (s *dataSet) blob(mediaType, body string) ispec.Descriptor {
	d := s.algorithm.FromString(body)
	s.blobs[d] = body
	return ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

// add adds a manifest, completed from v with the fields of extra, and gives its descriptor.
func (s *dataSet) add(t *testing.T, v any, extra map[string]any, tags ...string) ispec.Descriptor {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	for k, x := range extra {
		fields[k] = x
	}
	if raw, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		s.tags[tag] = len(s.manifests)
	}
	m := pushed{raw: string(raw), mediaType: fields["mediaType"].(string), digest: s.algorithm.FromBytes(raw)}
	s.manifests = append(s.manifests, m)
	return ispec.Descriptor{MediaType: m.mediaType, Digest: m.digest, Size: int64(len(raw))}
}

func (s *dataSet) image(t *testing.T, seed string, extra map[string]any, tags ...string) ispec.Descriptor {
	t.Helper()
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest,
		Config:    s.blob(ispec.MediaTypeImageConfig, `{"architecture":"amd64","os":"linux","author":"`+seed+`"}`),
		Layers:    []ispec.Descriptor{s.blob(ispec.MediaTypeImageLayer, "one "+seed), s.blob(ispec.MediaTypeImageLayerGzip, "two "+seed)},
	}
	m.SchemaVersion = 2
	return s.add(t, m, extra, tags...)
}

func (s *dataSet) artifact(t *testing.T, extra map[string]any, tags ...string) ispec.Descriptor {
	t.Helper()
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example.one",
		Config: s.blob(ispec.MediaTypeEmptyJSON, "{}"), Layers: []ispec.Descriptor{s.blob("application/vnd.example.one", "data")},
		Annotations: map[string]string{"org.example": "hello"},
	}
	m.SchemaVersion = 2
	return s.add(t, m, extra, tags...)
}

func (s *dataSet) index(t *testing.T, extra map[string]any, tags []string, children ...ispec.Descriptor) ispec.Descriptor {
	t.Helper()
	x := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: append([]ispec.Descriptor{}, children...)}
	x.SchemaVersion = 2
	return s.add(t, x, extra, tags...)
}

func dataSets(t *testing.T) map[string]*dataSet {
	t.Helper()
	sets := map[string]*dataSet{}
	set := func(name string) *dataSet {
		sets[name] = newData(digest.SHA256)
		return sets[name]
	}
	set("image").image(t, "a", nil, "image")
	s := set("image uncompressed")
	s.image(t, "q", map[string]any{"layers": []any{s.blob(ispec.MediaTypeImageLayer, "plain"), s.blob(ispec.MediaTypeImageLayerZstd, "zstd")}}, "plain")
	long := map[string]string{}
	for i := range 390 {
		long[fmt.Sprintf("large-annotation-%d", i)] = strings.Repeat("A", 10000)
	}
	set("large manifest").image(t, "b", map[string]any{"annotations": long}, "large")
	s = set("index")
	s.index(t, nil, []string{"index"}, s.image(t, "c", nil), s.image(t, "d", nil))
	s = set("nested index")
	s.index(t, nil, []string{"nested"}, s.index(t, nil, nil, s.image(t, "e", nil)), s.index(t, nil, nil, s.image(t, "f", nil)))
	set("empty index").index(t, nil, []string{"empty"})
	set("artifact").artifact(t, nil, "artifact")
	s = set("artifact index")
	s.index(t, map[string]any{"artifactType": "application/vnd.example.two"}, []string{"artifact-index"}, s.artifact(t, nil))
	s = set("artifact without layers")
	s.artifact(t, map[string]any{"layers": []any{s.blob(ispec.MediaTypeEmptyJSON, "{}")}}, "bare")
	s = set("artifacts with subject")
	subject := s.image(t, "g", nil, "image")
	s.image(t, "h", map[string]any{"subject": subject})
	s.artifact(t, map[string]any{"subject": subject}, "tagged1")
	s.artifact(t, map[string]any{"subject": subject, "artifactType": "application/vnd.example.two"}, "tagged2")
	s = set("index with subject")
	s.index(t, map[string]any{"subject": s.index(t, nil, []string{"index"}), "artifactType": "application/vnd.example.one"}, []string{"tagged"})
	set("missing subject").artifact(t, map[string]any{"subject": ispec.Descriptor{
		MediaType: ispec.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 123,
	}}, "tagged")
	s = set("data field")
	inline := s.blob(ispec.MediaTypeImageLayer, "inline")
	inline.Data = []byte("inline")
	s.image(t, "i", map[string]any{"layers": []any{inline}}, "data")
	s = set("non-distributable layers")
	s.image(t, "j", map[string]any{"layers": []any{
		ispec.Descriptor{
			MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: digest.FromString("far"), Size: 123456,
			URLs: []string{"https://store.example.com/x"},
		},
		s.blob(ispec.MediaTypeImageLayer, "near"),
	}}, "foreign")
	set("custom fields").image(t, "k", map[string]any{"org.example.custom": "x", "annotations": map[string]string{"a": "b"}}, "custom")
	set("no layers").image(t, "l", map[string]any{"layers": []any{}}, "none")
	s = set("sparse")
	s.sparse = true
	s.index(t, nil, []string{"sparse"}, s.image(t, "m", nil, "sparse-image"), ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, Digest: digest.FromString("n"), Size: 1024})
	delete(s.blobs, digest.FromString("one m"))
	s = set("sha512")
	s.algorithm = digest.SHA512
	s.index(t, nil, nil, s.image(t, "r", nil), s.image(t, "s", nil))
	for _, a := range algorithms() {
		s = set("tag param " + a.String())
		s.algorithm, s.tagParam = a, true
		s.index(t, nil, []string{"p1", "p2", "p3"}, s.image(t, "o", nil), s.image(t, "p", nil))
	}
	return sets
}

func TestDS26_data(t *testing.T) {
	for name, set := range dataSets(t) {
		t.Run(name, func(t *testing.T) {
			overBackends(t, func(t *testing.T, h *Handler) {
				h.o.AllowMissingBlobs = set.sparse
				set.push(t, h)
				set.pull(t, h)
				set.referrers(t, h)
				for tag := range set.tags {
					wantDeleted(t, h, "/v2/a/manifests/"+tag)
				}
				for _, m := range slices.Backward(set.manifests) {
					wantDeleted(t, h, "/v2/a/manifests/"+m.digest.String())
				}
				for d := range set.blobs {
					wantDeleted(t, h, "/v2/a/blobs/"+d.String())
				}
			})
		})
	}
}

func (s *dataSet) push(t *testing.T, h *Handler) {
	t.Helper()
	for d, body := range s.blobs {
		resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), body)
		want(t, resp, http.StatusCreated)
	}
	put := func(ref string, m pushed) *http.Response {
		t.Helper()
		resp, text := call(t, h, "PUT", "/v2/a/manifests/"+ref, m.raw, "Content-Type", m.mediaType)
		want(t, resp, http.StatusCreated, "Docker-Content-Digest", m.digest.String(), "Location", "/v2/a/manifests/"+m.digest.String(),
			"OCI-Subject", m.subject().String())
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(text)
		}
		return resp
	}
	for i, m := range s.manifests {
		ref := m.digest.String()
		if !s.tagParam {
			put(ref, m)
			continue
		}
		var q, tags []string
		for tag, to := range s.tags {
			if to == i {
				q, tags = append(q, "tag="+tag), append(tags, tag)
			}
		}
		got := put(ref+"?"+strings.Join(q, "&"), m).Header.Values("OCI-Tag")
		slices.Sort(tags)
		slices.Sort(got)
		if !slices.Equal(got, tags) {
			t.Errorf("OCI-Tag %q, want %q", got, tags)
		}
	}
	for tag, i := range s.tags {
		if !s.tagParam {
			put(tag, s.manifests[i])
		}
	}
}

func (s *dataSet) pull(t *testing.T, h *Handler) {
	t.Helper()
	resp, body := call(t, h, "GET", "/v2/a/tags/list", "")
	if len(s.tags) > 0 {
		want(t, resp, http.StatusOK)
	}
	for tag := range s.tags { // what comes after it, and it not
		_, rest := call(t, h, "GET", "/v2/a/tags/list?last="+tag, "")
		for other := range s.tags {
			if in := strings.Contains(rest, `"`+other+`"`); in != (other > tag) {
				t.Errorf("after %s: %s listed: %v", tag, other, in)
			}
		}
	}
	refs := map[string]pushed{}
	for tag, i := range s.tags {
		refs[tag] = s.manifests[i]
		if !strings.Contains(body, `"`+tag+`"`) {
			t.Errorf("tag %s is not in %s", tag, body)
		}
	}
	for _, m := range s.manifests {
		refs[m.digest.String()] = m
	}
	for ref, m := range refs {
		for _, method := range []string{"HEAD", "GET"} {
			resp, got := call(t, h, method, "/v2/a/manifests/"+ref, "", "Accept", ispec.MediaTypeImageIndex)
			want(t, resp, http.StatusOK, "Content-Type", m.mediaType, "Content-Length", fmt.Sprint(len(m.raw)),
				"Docker-Content-Digest", m.digest.String())
			if method == "GET" && got != m.raw {
				t.Errorf("%s: bytes changed", ref)
			}
		}
	}
	for d, raw := range s.blobs {
		resp, got := call(t, h, "GET", "/v2/a/blobs/"+d.String(), "")
		want(t, resp, http.StatusOK)
		if got != raw {
			t.Errorf("%s: bytes changed", d)
		}
	}
}

// referrers asks for those of each subject, of all types and of each one.
func (s *dataSet) referrers(t *testing.T, h *Handler) {
	t.Helper()
	all := map[digest.Digest][]ispec.Descriptor{}
	for _, m := range s.manifests {
		if subject := m.subject(); subject != "" {
			_, d := Referrer(m.manifest())
			all[subject] = append(all[subject], d)
		}
	}
	for subject, list := range all {
		types := []string{""}
		for _, d := range list {
			types = append(types, d.ArtifactType)
		}
		for _, at := range types {
			resp, body := call(t, h, "GET", "/v2/a/referrers/"+subject.String()+"?artifactType="+url.QueryEscape(at), "")
			filter := ""
			if at != "" {
				filter = "artifactType"
			}
			want(t, resp, http.StatusOK, "Content-Type", ispec.MediaTypeImageIndex, "OCI-Filters-Applied", filter)
			var x ispec.Index
			if err := json.Unmarshal([]byte(body), &x); err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				in := slices.ContainsFunc(x.Manifests, func(o ispec.Descriptor) bool {
					return o.Digest == d.Digest && o.MediaType == d.MediaType && o.Size == d.Size && o.ArtifactType == d.ArtifactType &&
						len(o.Annotations) == len(d.Annotations)
				})
				if in != (at == "" || at == d.ArtifactType) {
					t.Errorf("type %q: %+v listed: %v", at, d, in)
				}
			}
		}
	}
}
