package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// served is a registry in this process, and what is put into it as a/b.
type served struct {
	*registrytest.Server
	t *testing.T
}

func (s served) blob(mediaType string, raw []byte) ispec.Descriptor {
	s.t.Helper()
	d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := s.Backend.PutBlob(context.Background(), "a/b", d, bytes.NewReader(raw)); err != nil {
		s.t.Fatal(err)
	}
	return d
}

// manifest puts a document under its digest and the tag, if there is one.
func (s served) manifest(mediaType, tag string, v any) ispec.Descriptor {
	s.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	err = s.Backend.PutManifest(context.Background(), "a/b", registry.Manifest{Descriptor: d, Raw: raw})
	if err == nil && tag != "" {
		err = s.Backend.Tag(context.Background(), "a/b", tag, d)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// image puts an image of empty layers.
func (s served) image(tag string, config ispec.Image, notes map[string]string) ispec.Descriptor {
	s.t.Helper()
	m := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest, Annotations: notes}
	for range config.RootFS.DiffIDs {
		m.Layers = append(m.Layers, s.blob(ispec.MediaTypeImageLayer, make([]byte, 1024)))
	}
	raw, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	m.Config = s.blob(ispec.MediaTypeImageConfig, raw)
	return s.manifest(m.MediaType, tag, m)
}

// emptyTar is the DiffID of a layer without entries.
func emptyTar() digest.Digest { return digest.FromBytes(make([]byte, 1024)) }

// unsafeRunes gives what a terminal would act on: controls but for the end of a line and a tab, and
// marks that turn the direction of text.
func unsafeRunes(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r < 0x7f || r >= 0xa0 && (r < 0x202a || r > 0x202e) && (r < 0x2066 || r > 0x2069) && r != 0x200e && r != 0x200f {
			return -1
		}
		return r
	}, s)
}

// TestH85_nothing_acts_on_the_terminal: whatever an image, an index or a registry says, what a person
// sees of it holds no escape sequence.
func TestH85_nothing_acts_on_the_terminal(t *testing.T) {
	const evil = "x\x1b]0;owned\x07\x1b[2J\u009b31m\u202eevil\r\n\x7f"
	s := served{registrytest.New(t, registrytest.Options{}), t}
	when := time.Unix(0, 0)
	host := image.HostPlatform()
	config := ispec.Image{
		Platform: ispec.Platform{OS: host.OS, Architecture: host.Architecture, Variant: host.Variant, OSVersion: evil, OSFeatures: []string{evil}}, Author: evil, Created: &when,
		Config:  ispec.ImageConfig{Labels: map[string]string{evil: evil}, Env: []string{evil}, Cmd: []string{evil}, User: evil, WorkingDir: evil, StopSignal: evil},
		RootFS:  ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{emptyTar()}},
		History: []ispec.History{{CreatedBy: evil, Author: evil, Comment: evil}},
	}
	good := s.image("v", config, map[string]string{evil: evil})
	config.Platform = ispec.Platform{OS: evil, Architecture: evil, Variant: evil}
	odd := s.image("odd", config, nil)
	odd.Platform, good.Platform = &config.Platform, nil
	odd.Annotations = map[string]string{evil: evil}
	s.manifest(ispec.MediaTypeImageIndex, "index", ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{odd}})
	s.manifest(ispec.MediaTypeImageManifest, "", ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest, ArtifactType: "a/b", Annotations: map[string]string{evil: evil},
		Config: s.blob(ispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ispec.Descriptor{s.blob("a/b", []byte("sig"))}, Subject: &good,
	})
	s.Inject(
		registrytest.Rule{Path: "/none/", Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"code": evil, "message": evil, "detail": evil}}})
		}},
		registrytest.Rule{Path: "/liar/", Fault: registrytest.Body("x\u009b31m\u202e/y", []byte(`{"tags":[`+`"\u001b[2J"`+`],"mediaType":"\u001b[2J","layers":[]}`))},
		registrytest.Rule{Path: "/realm/", Fault: registrytest.Status(401, "Www-Authenticate", `Bearer realm="ftp://`+"\u009b31m\u202e"+`",service="`+"\u009b"+`"`)},
		registrytest.Rule{Fault: registrytest.Header("Warning", `299 - "\u001b[2J\u202eevil"`)},
	)
	home := t.TempDir()
	ref := s.Host + "/a/b"
	for _, args := range [][]string{
		{"pull", ref + ":v"},
		{"pull", "--platform", "linux/s390x", ref + ":index"},
		{"pull", ref + ":odd"},
		{"pull", "--progress", "plain", ref + ":index"},
		{"images"},
		{"history", ref + ":v"},
		{"history", "--no-trunc", ref + ":v"},
		{"referrers", ref + ":v"},
		{"referrers", "--tree", ref + ":v"},
		{"tags", ref},
		{"catalog", s.Host},
		{"digest", ref + ":index"},
		{"copy", ref + ":odd", "oci:" + home + "/out:x"},
		{"pull", "--dry-run", ref + ":odd"},
		{"bundle", ref + ":v", home + "/b"},
		{"unpack", ref + ":odd", home + "/r"},
		{"check"},
		{"prune"},
		{"tags", s.Host + "/none/x"},
		{"pull", s.Host + "/none/x"},
		{"pull", s.Host + "/liar/x"},
		{"tags", s.Host + "/liar/x"},
		{"pull", s.Host + "/realm/x"},
		{"pull", ref + ":" + evil},
		{evil},
		{"pull", "--" + evil},
		{"tag", evil, "x"},
		{"inspect", evil},
		{"images", "--format", evil},
	} {
		out, err := program(t, home, "", args...)
		if bad := unsafeRunes(out); bad != "" {
			t.Errorf("oci %q (%v): %q in %q", args, err, bad, out)
		}
	}
	// Another tool wrote an entry into the store's index.
	index := filepath.Join(home, "store", "index.json")
	raw, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	note, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(`"manifests":[`), fmt.Appendf(nil, `"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{%q:%s}},`,
		good.MediaType, good.Digest, good.Size, ispec.AnnotationRefName, note), 1)
	if err := os.WriteFile(index, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"images"}, {"images", "-q"}, {"tags", "oci:" + home + "/store"}, {"check"}, {"rmi", good.Digest.String()}, {"prune"}} {
		out, err := program(t, home, "", args...)
		if bad := unsafeRunes(out); bad != "" {
			t.Errorf("oci %q (%v): %q in %q", args, err, bad, out)
		}
	}
}
