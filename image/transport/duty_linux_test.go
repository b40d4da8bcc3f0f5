package transport

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestIS_A2_names: what we write under org.opencontainers.image.ref.name keeps its grammar; what others
// wrote is met as it is, and names nothing else. Names and bases of images are passed on, not read.
func TestIS_A2_names(t *testing.T) {
	grammar := regexp.MustCompile(`^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$`)
	l := newTestLayout(t)
	d := l.edit(l.image(amd64), func(m *ispec.Manifest) {
		m.Annotations = map[string]string{
			ispec.AnnotationBaseImageName: "not a name at all", ispec.AnnotationBaseImageDigest: "sha256:../..", "org.label-schema.name": "old",
		}
	})
	for _, odd := range []string{"v1", "team/app:v1", "with space", "../../etc/passwd", "ü", "\x1b[2J", "@0", "a:b:c"} {
		l.index(named(d, odd))
		s := newStore(t)
		c := mustCopy(t, s, "oci:"+l.dir, CopyOptions{Platform: amd64})
		if c.Resolved.Root.Digest != d.Digest {
			t.Errorf("%q: %s", odd, c.Resolved.Root.Digest)
		}
		m, err := s.ReadBlob(t.Context(), d, 1<<20)
		raw, _ := os.ReadFile(filepath.Join(l.dir, "blobs/sha256", d.Digest.Encoded()))
		if err != nil || !bytes.Equal(m, raw) {
			t.Errorf("%q: the manifest was changed: %v", odd, err)
		}
	}
	l.index(named(d, "v1"))
	s := newStore(t)
	root := mustCopy(t, s, "oci:"+l.dir, CopyOptions{Platform: amd64}).Resolved.Root
	for _, name := range []string{"v1", "team-app_2.0"} {
		out := filepath.Join(t.TempDir(), "out")
		if err := Export(t.Context(), s, root, mustParse(t, "oci:"+out+":"+name), ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(out, "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		var x ispec.Index
		if err := json.Unmarshal(raw, &x); err != nil || len(x.Manifests) != 1 {
			t.Fatalf("%s: %v", raw, err)
		}
		if got := x.Manifests[0].Annotations[ispec.AnnotationRefName]; got != name || !grammar.MatchString(got) {
			t.Errorf("wrote %q, want %q", got, name)
		}
	}
}

// TestIS_I3_copied_whole: an index with all that it may have, and with what only others understand, goes
// through the store byte for byte, with everything that it lists.
func TestIS_I3_copied_whole(t *testing.T) {
	l := newTestLayout(t)
	amd, arm := l.image(amd64), l.image(arm64)
	a, b := amd, arm
	a.Platform = &ispec.Platform{OS: "linux", Architecture: "amd64", OSVersion: "6.1", OSFeatures: []string{"x"}, Variant: "v2"}
	b.Platform = &arm64
	odd := l.blob("application/vnd.example+json", []byte(`{"not":"ours"}`))
	odd.Annotations, odd.ArtifactType = map[string]string{"k": "v"}, "application/vnd.example"
	nested := l.json(ispec.MediaTypeImageIndex, ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{b}})
	root := l.json(ispec.MediaTypeImageIndex, ispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex, ArtifactType: "application/vnd.example.index",
		Manifests: []ispec.Descriptor{a, nested, odd}, Annotations: map[string]string{"org.example": ""},
	})
	l.index(named(root, "x"))
	s := newStore(t)
	c := mustCopy(t, s, "oci:"+l.dir+":x", CopyOptions{All: true})
	if c.Resolved.Root.Digest != root.Digest {
		t.Errorf("%+v", c.Resolved)
	}
	for _, d := range []ispec.Descriptor{root, amd, arm, nested, odd} {
		want, err := os.ReadFile(filepath.Join(l.dir, "blobs/sha256", d.Digest.Encoded()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadBlob(t.Context(), d, 1<<20); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v", d.MediaType, err)
		}
	}
}
