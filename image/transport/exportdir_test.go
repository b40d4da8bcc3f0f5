package transport

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

func TestExport_directory(t *testing.T) {
	s, root, amd := filled(t)
	dest := "dir:" + filepath.Join(t.TempDir(), "d")
	for range 2 { // the second takes the place of the first
		if err := Export(t.Context(), s, root, mustParse(t, dest), ExportOptions{Platform: amd64}); err != nil {
			t.Fatal(err)
		}
		if c := mustCopy(t, newStore(t), dest, CopyOptions{Platform: amd64}); c.Resolved.Root.Digest != amd.Digest {
			t.Errorf("%v, want the manifest of the platform", c.Resolved.Root)
		}
	}
	if err := Export(t.Context(), s, root, mustParse(t, dest), ExportOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	back := newStore(t)
	if c := mustCopy(t, back, dest, CopyOptions{All: true}); c.Resolved.Root.Digest != root.Digest {
		t.Errorf("%v, want the index", c.Resolved.Root)
	}
	mustBeValid(t, back)
	if list, err := os.ReadDir(filepath.Dir(mustParse(t, dest).Path)); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestExport_directory_refuses(t *testing.T) {
	s, root, amd := filled(t)
	dir := t.TempDir()
	full, file := filepath.Join(dir, "full"), filepath.Join(dir, "file")
	for _, err := range []error{os.Mkdir(full, 0o755), os.WriteFile(filepath.Join(full, "diary"), nil, 0o600), os.WriteFile(file, nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dest := range []string{full, file} {
		if err := Export(t.Context(), s, root, mustParse(t, "dir:"+dest), ExportOptions{Platform: amd64}); !errors.Is(err, ErrNotLayout) {
			t.Errorf("%s: %v", dest, err)
		}
	}
	if err := Export(t.Context(), s, root, mustParse(t, "dir:"+dir+"/x"), ExportOptions{Platform: amd64, Also: []ispec.Descriptor{amd}}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("something beside the image: %v", err)
	}
	// Content that is not what it should be leaves nothing.
	gone := amd
	gone.Digest = "sha256:" + "0000000000000000000000000000000000000000000000000000000000000000"
	if err := Export(t.Context(), s, gone, mustParse(t, "dir:"+dir+"/y"), ExportOptions{}); err == nil {
		t.Error("an image that is not there was exported")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestExport_also(t *testing.T) {
	l, root, amd, _ := multi(t)
	empty := l.blob(ispec.DescriptorEmptyJSON.MediaType, []byte("{}"))
	m := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/x.test", Config: empty, Layers: []ispec.Descriptor{empty}, Subject: &amd}
	m.SchemaVersion = 2
	ref := l.json(m.MediaType, m)
	l.index(named(root, "multi"), ref)
	src, err := OpenLayout(mustParse(t, "oci:"+l.dir+":multi"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dir := t.TempDir()
	for _, dest := range []string{"oci:" + dir + "/layout:v1", "oci:" + dir + "/layout:v1", "oci-archive:" + dir + "/a.tar:v1"} {
		if err := Export(t.Context(), src, root, mustParse(t, dest), ExportOptions{Platform: amd64, Also: []ispec.Descriptor{ref}}); err != nil {
			t.Fatal(err)
		}
		back, err := Open(t.Context(), mustParse(t, dest))
		if err != nil {
			t.Fatal(err)
		}
		list, err := back.List(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %v, %v", dest, list, err)
		}
		for _, n := range list {
			want := map[string]ispec.Descriptor{"": ref, "v1": amd}[n.Name]
			r, err := back.Open(t.Context(), n.Descriptor)
			if err != nil || n.Descriptor.Digest != want.Digest {
				t.Fatalf("%s: %v, %v", dest, n, err)
			}
			if _, err := image.ReadAll(r, want, image.MaxManifestSize); err != nil {
				t.Error(err)
			}
			r.Close()
		}
		back.Close()
	}
}
