package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestDS02_DS13_manifests(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		raw := " " + manifestFor(c, 2, "") + "\n" // bytes are kept as they are
		d := digest.FromString(raw)
		mt := ispec.MediaTypeImageManifest
		resp, _ := call(t, h, "PUT", "/v2/a/manifests/v1", raw, "Content-Type", mt)
		want(t, resp, 201, "Docker-Content-Digest", d.String(), "Location", "/v2/a/manifests/"+d.String())
		for _, ref := range []string{"v1", d.String()} {
			resp, body := call(t, h, "GET", "/v2/a/manifests/"+ref, "")
			want(t, resp, 200, "Docker-Content-Digest", d.String(), "Content-Type", mt)
			if body != raw {
				t.Errorf("%s: bytes changed: %q", ref, body)
			}
			resp, body = call(t, h, "HEAD", "/v2/a/manifests/"+ref, "")
			want(t, resp, 200, "Docker-Content-Digest", d.String(), "Content-Type", mt, "Content-Length", fmt.Sprint(len(raw)))
			if body != "" {
				t.Error("HEAD with a body")
			}
		}
		for _, ref := range []string{"nope", digest.FromString("x").String()} {
			resp, body := call(t, h, "GET", "/v2/a/manifests/"+ref, "")
			want(t, resp, 404)
			if got := code(t, body); got != "MANIFEST_UNKNOWN" {
				t.Errorf("code %s", got)
			}
		}
		for name, tt := range map[string]struct {
			ref, body, ct string
			status        int
			code          string
		}{
			"other digest":       {digest.FromString("x").String(), raw, mt, 400, "DIGEST_INVALID"},
			"bad digest":         {"sha256:xyz", raw, mt, 400, "DIGEST_INVALID"},
			"H-75 both":          {"v", `{"schemaVersion":2,"manifests":[],"layers":[]}`, "", 400, "MANIFEST_INVALID"},
			"no JSON":            {"v", `x`, mt, 400, "MANIFEST_INVALID"},
			"type differs":       {"v", raw, ispec.MediaTypeImageIndex, 400, "MANIFEST_INVALID"},
			"index as manifest":  {"v", `{"schemaVersion":2,"manifests":[]}`, mt, 400, "MANIFEST_INVALID"},
			"DS-15 missing blob": {"v", manifestFor(digest.FromString("no"), 2, ""), mt, 400, "MANIFEST_BLOB_UNKNOWN"},
			"bad blob digest":    {"v", manifestFor("sha256:../..", 2, ""), mt, 400, "MANIFEST_INVALID"},
			"DS-14 too large":    {"v", raw + strings.Repeat(" ", 8<<20), mt, 413, "SIZE_INVALID"},
			"bad subject":        {"v", manifestFor(c, 2, `,"subject":{"digest":"x"}`), mt, 400, "MANIFEST_INVALID"},
		} {
			resp, body := call(t, h, "PUT", "/v2/a/manifests/"+tt.ref, tt.body, "Content-Type", tt.ct)
			if resp.StatusCode != tt.status || code(t, body) != tt.code {
				t.Errorf("%s: got %d %s", name, resp.StatusCode, body)
			}
		}
		resp, _ = call(t, h, "PUT", "/v2/a/manifests/large", raw+strings.Repeat(" ", 4<<20), "Content-Type", mt)
		want(t, resp, 201) // DS-14: 4 MiB and more
		resp, _ = call(t, h, "PUT", "/v2/a/manifests/list", `{"schemaVersion":2,"mediaType":"`+ispec.MediaTypeImageIndex+`","manifests":[{"digest":"`+digest.FromString("sparse").String()+`"}]}`)
		want(t, resp, 201)
	})
}

func TestDS17_tags_of_one_push(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		raw := manifestFor(c, 2, "")
		q := make([]string, 12)
		for i := range q {
			q[i] = fmt.Sprintf("tag=t%02d", i)
		}
		resp, _ := call(t, h, "PUT", "/v2/a/manifests/"+digest.FromString(raw).String()+"?"+strings.Join(q, "&"), raw, "Content-Type", ispec.MediaTypeImageManifest)
		want(t, resp, 201)
		if got := resp.Header.Values("OCI-Tag"); len(got) != 12 {
			t.Errorf("OCI-Tag %q", got)
		}
		resp, _ = call(t, h, "PUT", "/v2/a/manifests/"+digest.FromString(raw).String()+"?tag=.bad", raw)
		want(t, resp, 400)
	})
}

func TestDS18_tags(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		resp, body := call(t, h, "GET", "/v2/none/tags/list", "")
		want(t, resp, 404)
		if c := code(t, body); c != "NAME_UNKNOWN" {
			t.Errorf("code %s", c)
		}
		c := putBlob(t, h, "a", "{}")
		for _, tag := range []string{"c", "a", "B", "b", "d"} {
			resp, _ = call(t, h, "PUT", "/v2/a/manifests/"+tag, manifestFor(c, 2, ""), "Content-Type", ispec.MediaTypeImageManifest)
			want(t, resp, 201)
		}
		for _, tt := range []struct {
			query, tags, link string
			status            int
		}{
			{"", "B a b c d", "", 200},
			{"?n=2", "B a", `</v2/a/tags/list?last=a&n=2>; rel="next"`, 200},
			{"?n=2&last=a", "b c", `</v2/a/tags/list?last=c&n=2>; rel="next"`, 200},
			{"?n=2&last=c", "d", "", 200},
			{"?n=5", "B a b c d", "", 200},
			{"?n=0", "", "", 200},
			{"?last=bb", "c d", "", 200},
			{"?last=z", "", "", 200},
			{"?n=-1", "", "", 400},
			{"?n=x", "", "", 400},
		} {
			resp, body := call(t, h, "GET", "/v2/a/tags/list"+tt.query, "")
			want(t, resp, tt.status, "Link", tt.link)
			if tt.status != 200 {
				continue
			}
			var doc struct {
				Name string
				Tags []string
			}
			if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.Name != "a" || doc.Tags == nil || strings.Join(doc.Tags, " ") != tt.tags {
				t.Errorf("%s: got %s, %v", tt.query, body, err)
			}
		}
		putBlob(t, h, "z/y", "x")
		_, body = call(t, h, "GET", "/v2/_catalog?n=1", "")
		if strings.TrimSpace(body) != `{"repositories":["a"]}` {
			t.Errorf("catalog: %s", body)
		}
	})
}

func TestDS16_DS19_referrers(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		subject := digest.FromString("not pushed yet") // DS-15: may be missing
		ref := "/v2/a/referrers/" + subject.String()
		resp, body := call(t, h, "GET", ref, "")
		want(t, resp, 200, "Content-Type", ispec.MediaTypeImageIndex)
		if !strings.Contains(body, `"manifests":[]`) {
			t.Errorf("an empty list: %s", body)
		}
		sub := fmt.Sprintf(`,"subject":{"mediaType":"x/y","digest":%q,"size":1},"annotations":{"k":"v"}`, subject)
		for _, extra := range []string{sub + `,"artifactType":"application/one"`, sub} {
			raw := manifestFor(c, 2, extra)
			resp, _ = call(t, h, "PUT", "/v2/a/manifests/"+digest.FromString(raw).String(), raw, "Content-Type", ispec.MediaTypeImageManifest)
			want(t, resp, 201, "OCI-Subject", subject.String())
		}
		list := func(q string) []ispec.Descriptor {
			t.Helper()
			resp, body := call(t, h, "GET", ref+q, "")
			want(t, resp, 200)
			var idx ispec.Index
			if err := json.Unmarshal([]byte(body), &idx); err != nil || idx.SchemaVersion != 2 {
				t.Fatalf("%s: %v", body, err)
			}
			return idx.Manifests
		}
		var types []string
		for _, d := range list("") {
			types = append(types, d.ArtifactType)
			if d.Annotations["k"] != "v" || d.Size == 0 || d.MediaType != ispec.MediaTypeImageManifest {
				t.Errorf("got %+v", d)
			}
		}
		slices.Sort(types)
		if want := []string{"application/one", ispec.MediaTypeImageConfig}; !slices.Equal(types, want) {
			t.Errorf("artifact types %q, want %q", types, want)
		}
		if got := list("?artifactType=application/one"); len(got) != 1 {
			t.Errorf("filtered: %+v", got)
		}
		resp, _ = call(t, h, "GET", ref+"?artifactType=x", "")
		want(t, resp, 200, "OCI-Filters-Applied", "artifactType")
		resp, _ = call(t, h, "GET", "/v2/a/referrers/bad", "")
		want(t, resp, 400)
		resp, _ = call(t, h, "GET", "/v2/unknown/referrers/"+subject.String(), "")
		want(t, resp, 200) // never 404
	})
}

func TestDS20_deletes(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		c := putBlob(t, h, "a", "{}")
		raw := manifestFor(c, 2, "")
		d := digest.FromString(raw).String()
		for _, tag := range []string{"one", "two"} {
			call(t, h, "PUT", "/v2/a/manifests/"+tag, raw, "Content-Type", ispec.MediaTypeImageManifest)
		}
		resp, _ := call(t, h, "DELETE", "/v2/a/manifests/one", "")
		want(t, resp, 202)
		resp, _ = call(t, h, "GET", "/v2/a/manifests/one", "")
		want(t, resp, 404)
		resp, _ = call(t, h, "GET", "/v2/a/manifests/two", "")
		want(t, resp, 200)
		resp, _ = call(t, h, "DELETE", "/v2/a/manifests/"+d, "")
		want(t, resp, 202)
		for _, p := range []string{"/v2/a/manifests/two", "/v2/a/manifests/" + d} {
			resp, _ = call(t, h, "GET", p, "")
			want(t, resp, 404)
		}
		for _, p := range []string{"/v2/a/manifests/one", "/v2/a/manifests/" + d, "/v2/none/manifests/x", "/v2/a/blobs/" + digest.FromString("q").String()} {
			resp, _ = call(t, h, "DELETE", p, "")
			want(t, resp, 404)
		}
		if !shared(h) {
			resp, _ = call(t, h, "DELETE", "/v2/none/blobs/"+c.String(), "")
			want(t, resp, 404)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), ispec.MediaTypeImageIndex)
	f.Add([]byte(`{"schemaVersion":2,"config":{},"layers":[],"subject":{"digest":"sha256:x"}}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, mt string) {
		c, err := decode(raw, mt)
		if err != nil {
			return
		}
		if c.MediaType == "" || mt != "" && c.MediaType != mt {
			t.Fatalf("type %q of one said to be %q", c.MediaType, mt)
		}
		if c.Manifests != nil && (c.Layers != nil || c.Config != nil) {
			t.Fatal("two readings")
		}
		m := Manifest{Descriptor: ispec.Descriptor{MediaType: c.MediaType, Digest: digest.FromBytes(raw)}, Raw: raw}
		if subject, d := Referrer(m); subject != "" && (subject.Validate() != nil || d.Size != int64(len(raw))) {
			t.Fatalf("subject %q, %+v", subject, d)
		}
	})
}
