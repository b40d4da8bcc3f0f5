package transport

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// filled gives a store with the image of two platforms.
func filled(t *testing.T) (s *store.Store, root, amd ispec.Descriptor) {
	t.Helper()
	l, root, amd, _ := multi(t)
	s = newStore(t)
	mustCopy(t, s, "oci:"+l.dir+":multi", CopyOptions{All: true})
	return s, root, amd
}

func TestExport_round_trip(t *testing.T) {
	s, root, amd := filled(t)
	dir := t.TempDir()
	for _, dest := range []string{"oci:" + dir + "/layout:v1", "oci:" + dir + "/layout:docker.io/library/x:latest", "oci-archive:" + dir + "/a.tar:v1", "oci-archive:" + dir + "/b.tar"} {
		if err := Export(t.Context(), s, root, mustParse(t, dest), ExportOptions{Platform: amd64}); err != nil {
			t.Fatal(err)
		}
		back := newStore(t)
		c := mustCopy(t, back, dest, CopyOptions{Platform: amd64})
		if c.Resolved.Root.Digest != amd.Digest {
			t.Errorf("%s: %v, want the manifest of the platform", dest, c.Resolved.Root)
		}
	}
	all := "oci-archive:" + dir + "/all.tar:all"
	if err := Export(t.Context(), s, root, mustParse(t, all), ExportOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if c := mustCopy(t, newStore(t), all, CopyOptions{All: true}); c.Resolved.Root.Digest != root.Digest {
		t.Errorf("%v", c.Resolved.Root)
	}
	// The layout has three names now, and is one that a store can be opened on.
	other, err := store.Open(t.Context(), dir+"/layout", store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	mustBeValid(t, other)
	if tags, err := other.Tags(t.Context()); err != nil || len(tags) != 2 {
		t.Errorf("%v, %v", tags, err)
	}
}

func TestExport_docker_archive(t *testing.T) {
	s, root, _ := filled(t)
	file := filepath.Join(t.TempDir(), "d.tar")
	if err := Export(t.Context(), s, root, mustParse(t, "docker-archive:"+file+":x:1"), ExportOptions{Platform: amd64, All: true}); err != nil {
		t.Fatal(err)
	}
	img, err := s.Image(t.Context(), root, amd64)
	if err != nil {
		t.Fatal(err)
	}
	c := mustCopy(t, newStore(t), "docker-archive:"+file+":docker.io/library/x:1", CopyOptions{Platform: amd64})
	if c.Image.ID() != img.ID() {
		t.Errorf("the ImageID is %s and was %s", c.Image.ID(), img.ID())
	}
	for i, l := range c.Image.Layers() {
		if l.DiffID != img.Layers()[i].DiffID || l.Descriptor.Digest != l.DiffID {
			t.Errorf("layer %d: %v", i, l)
		}
	}
}

func TestExport_is_deterministic(t *testing.T) {
	s, root, _ := filled(t)
	for _, kind := range []string{"oci-archive:", "docker-archive:"} {
		var first []byte
		for i := range 2 {
			file := filepath.Join(t.TempDir(), "x.tar")
			if err := Export(t.Context(), s, root, mustParse(t, kind+file+":x:1"), ExportOptions{Platform: amd64}); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = raw
			} else if string(raw) != string(first) {
				t.Errorf("%s differs from one time to the next", kind)
			}
		}
	}
}

// If a blob is damaged, nothing is left behind and what was there before is as it was.
func TestExport_damaged(t *testing.T) {
	s, root, _ := filled(t)
	img, err := s.Image(t.Context(), root, amd64)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(s.Root(), "blobs/sha256", img.Layers()[1].Descriptor.Digest.Encoded())
	raw, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(bad, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, dest := range []string{"oci:" + dir + "/layout:x", "oci-archive:" + dir + "/a.tar:x", "docker-archive:" + dir + "/d.tar:x"} {
		old := mustParse(t, dest).Path
		if strings.HasSuffix(old, ".tar") {
			if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := Export(t.Context(), s, root, mustParse(t, dest), ExportOptions{Platform: amd64}); !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("%s: %v, want ErrDigestMismatch", dest, err)
		}
		if raw, err := os.ReadFile(old); strings.HasSuffix(old, ".tar") && (err != nil || string(raw) != "old") {
			t.Errorf("%s is not as it was: %v", old, err)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 3 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	half, err := store.Open(t.Context(), dir+"/layout", store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	mustBeValid(t, half)
}

func TestExport_refuses(t *testing.T) {
	s, root, amd := filled(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "mine"), filepath.Join(dir, "link.tar")); err != nil {
		t.Fatal(err)
	}
	layer := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, Digest: amd.Digest, Size: amd.Size + 1}
	for dest, c := range map[string]struct {
		d    ispec.Descriptor
		o    ExportOptions
		want error
	}{
		"oci:" + dir + ":x":                    {root, ExportOptions{}, ErrNotLayout},
		"oci-archive:" + dir + ":x":            {root, ExportOptions{}, ErrNotRegular},
		"oci-archive:" + dir + "/link.tar":     {root, ExportOptions{}, ErrNotRegular},
		"oci-archive:" + dir + "/no/such/dir":  {root, ExportOptions{}, os.ErrNotExist},
		"oci-archive:" + dir + "/p.tar":        {root, ExportOptions{Platform: ispec.Platform{OS: "plan9", Architecture: "386"}}, image.ErrNoPlatform},
		"oci-archive:" + dir + "/s.tar":        {layer, ExportOptions{}, image.ErrSizeMismatch},
		"dir:" + dir:                           {root, ExportOptions{}, ErrNotLayout},
		"example.org/x:y":                      {root, ExportOptions{}, ErrUnsupported},
		"docker-archive:" + dir + "/n.tar:x:y": {amd, ExportOptions{Name: "oci:x"}, nil},
	} {
		ref := dest
		err := Export(t.Context(), s, c.d, mustParse(t, ref), c.o)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", dest, err, c.want)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// A layout that has a damaged blob already gets the right one.
func TestExport_H74_repairs(t *testing.T) {
	s, root, amd := filled(t)
	dir := t.TempDir()
	dest := mustParse(t, "oci:"+dir+":x")
	for range 2 {
		if err := Export(t.Context(), s, root, dest, ExportOptions{Platform: amd64}); err != nil {
			t.Fatal(err)
		}
		mustCopy(t, newStore(t), "oci:"+dir+":x", CopyOptions{Platform: amd64})
		name := filepath.Join(dir, "blobs/sha256", amd.Digest.Encoded())
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw[0] = ' '
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
