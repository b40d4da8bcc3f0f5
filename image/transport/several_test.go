package transport

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
)

// listed gives the names of a place.
func listed(t *testing.T, src Source) []string {
	t.Helper()
	list, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range list {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

// Several images go into one layout or archive, in which each is found by its name, and one without.
func TestExportAll_several(t *testing.T) {
	l, root, amd, arm := multi(t)
	s := newStore(t)
	mustCopy(t, s, "oci:"+l.dir+":multi", CopyOptions{All: true})
	items := []Item{{"docker.io/library/a:1", amd}, {"docker.io/library/b:1", arm}, {"docker.io/library/also-b:1", arm}, {"", root}}
	dir := t.TempDir()
	for _, dest := range []string{"oci:" + dir + "/layout", "oci-archive:" + dir + "/a.tar"} {
		if err := ExportAll(t.Context(), s, items, mustParse(t, dest), ExportOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		src, err := Open(t.Context(), mustParse(t, dest))
		if err != nil {
			t.Fatal(err)
		}
		if got := listed(t, src); !slices.Equal(got, []string{"", "docker.io/library/a:1", "docker.io/library/also-b:1", "docker.io/library/b:1"}) {
			t.Errorf("%s: %q", dest, got)
		}
		src.Close()
		if c := mustCopy(t, newStore(t), dest+":docker.io/library/also-b:1", CopyOptions{All: true}); c.Resolved.Root.Digest != arm.Digest {
			t.Errorf("%s: %v", dest, c.Resolved.Root)
		}
	}
	dest := "docker-archive:" + dir + "/d.tar"
	if err := ExportAll(t.Context(), s, items[:3], mustParse(t, dest), ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	src, err := OpenDockerArchive(t.Context(), mustParse(t, dest))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if len(src.images) != 2 || len(src.images[1].RepoTags) != 2 {
		t.Errorf("%+v", src.images)
	}
	if err := ExportAll(t.Context(), s, items[:2], mustParse(t, "dir:"+dir+"/x"), ExportOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("two images in one directory: %v", err)
	}
}

// An archive that is written as a stream can be read as one, whatever it was compressed with on its way.
func TestExportAll_stream(t *testing.T) {
	s, root, amd := filled(t)
	for _, kind := range []string{"oci-archive:", "docker-archive:"} {
		file := filepath.Join(t.TempDir(), "f.tar")
		item := []Item{{"docker.io/library/x:1", root}}
		var out bytes.Buffer
		for _, dest := range []string{"-", file} {
			if err := ExportAll(t.Context(), s, item, mustParse(t, kind+dest), ExportOptions{Platform: amd64, Output: &out}); err != nil {
				t.Fatal(err)
			}
		}
		if same, err := os.ReadFile(file); err != nil || !bytes.Equal(same, out.Bytes()) {
			t.Errorf("%s a file and a stream differ: %v", kind, err)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(out.Bytes())
		_ = z.Close()
		for _, raw := range [][]byte{out.Bytes(), packed.Bytes()} {
			src, ref, err := OpenStream(t.Context(), bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if string(ref.Transport)+":" != kind || !slices.Equal(listed(t, src), []string{"docker.io/library/x:1"}) {
				t.Errorf("%s: %v, %q", kind, ref, listed(t, src))
			}
			c, err := Copy(t.Context(), src, sink{newStore(t)}, CopyOptions{Platform: amd64})
			if err != nil || kind == "oci-archive:" && c.Resolved.Root.Digest != amd.Digest {
				t.Errorf("%s: %v, %v", kind, c.Resolved.Root, err)
			}
			src.Close()
		}
	}
	if err := Export(t.Context(), s, root, mustParse(t, "oci-archive:-"), ExportOptions{Platform: amd64}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a stream that goes nowhere: %v", err)
	}
}

// A stream that breaks off, because content is damaged or cannot be written, cannot be read.
func TestExportAll_stream_breaks(t *testing.T) {
	s, root, amd := filled(t)
	img, err := s.Image(t.Context(), amd, amd64)
	if err != nil {
		t.Fatal(err)
	}
	d := img.Layers()[1].Descriptor
	name := filepath.Join(s.Root(), "blobs/sha256", d.Digest.Encoded())
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Repeat([]byte{1}, int(d.Size)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"oci-archive:-", "docker-archive:-"} {
		var out bytes.Buffer
		err := Export(t.Context(), s, root, mustParse(t, kind), ExportOptions{Name: "x:1", Platform: amd64, Output: &out})
		if !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("%s: %v", kind, err)
		}
		src, _, err := OpenStream(t.Context(), &out)
		if err == nil {
			_, err = Copy(t.Context(), src, sink{newStore(t)}, CopyOptions{Platform: amd64})
			src.Close()
		}
		if err == nil {
			t.Errorf("%s: what broke off can be read", kind)
		}
	}
}

func TestFind(t *testing.T) {
	l, root, _, _ := multi(t)
	s := newStore(t)
	mustCopy(t, s, "oci:"+l.dir+":multi", CopyOptions{All: true})
	dir := t.TempDir()
	for _, dest := range []string{"oci:" + dir + "/o", "oci-archive:" + dir + "/o.tar", "docker-archive:" + dir + "/d.tar", "dir:" + dir + "/d"} {
		if err := Export(t.Context(), s, root, mustParse(t, dest), ExportOptions{Name: "x:1", Platform: amd64}); err != nil {
			t.Fatal(err)
		}
		_, path, _ := strings.Cut(dest, ":")
		src, ref, err := Find(t.Context(), path)
		if err != nil || ref.String() != dest {
			t.Errorf("%s is found to be %s, %v", path, ref, err)
			continue
		}
		if _, err := Copy(t.Context(), src, sink{newStore(t)}, CopyOptions{Platform: amd64}); err != nil {
			t.Error(err)
		}
		src.Close()
	}
	for _, raw := range [][]byte{nil, []byte("not an archive"), makeTar(t, member{name: "x", content: "y"})} {
		if _, _, err := Find(t.Context(), writeFile(t, raw)); !errors.Is(err, image.ErrMalformed) && !errors.Is(err, ErrNotLayout) {
			t.Errorf("%.20q: %v", raw, err)
		}
		if _, _, err := OpenStream(t.Context(), bytes.NewReader(raw)); !errors.Is(err, image.ErrMalformed) && !errors.Is(err, ErrNotLayout) {
			t.Errorf("%.20q as a stream: %v", raw, err)
		}
	}
	if _, _, err := Find(t.Context(), t.TempDir()); !errors.Is(err, ErrNotLayout) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, _, err := OpenStream(t.Context(), io.MultiReader(strings.NewReader("\x1f\x8b\x08\x00"), strings.NewReader("cut"))); !errors.Is(err, image.ErrMalformed) {
		t.Errorf("a broken gzip: %v", err)
	}
}
