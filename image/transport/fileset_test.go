package transport

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenFiles: a directory and a tar of it list the same, and nothing but files is opened.
func TestOpenFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"oci-layout": "{}", "blobs/sha256/aa": "a", "a/b/c/d": "not listed"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("aa", filepath.Join(dir, "blobs/sha256/bb")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "t.tar")
	archive := makeTar(t,
		member{name: "./oci-layout", content: "old"}, member{name: "oci-layout", content: "{}"},
		member{name: "blobs/sha256/aa", content: "a"}, member{name: "blobs/sha256/bb", link: "aa", kind: tar.TypeSymlink},
		member{name: "hard", link: "oci-layout", kind: tar.TypeLink}, member{name: "fifo", kind: tar.TypeFifo}, member{name: "../out", content: "x"})
	if err := os.WriteFile(file, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "t.zip")
	if err := os.WriteFile(packed, makeZip(t, dir), 0o644); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{
		packed: "a d 0 a/b d 0 a/b/c d 0 a/b/c/d - 10 blobs d 0 blobs/sha256 d 0 blobs/sha256/aa - 1 blobs/sha256/bb L 2 oci-layout - 2",
		dir:    "a d 0 blobs d 0 blobs/sha256 d 0 blobs/sha256/aa - 1 blobs/sha256/bb L 0 oci-layout - 2",
		file:   "blobs d 0 blobs/sha256 d 0 blobs/sha256/aa - 1 blobs/sha256/bb L 1 fifo ? 0 hard - 2 oci-layout - 2 twice",
	} {
		set, err := OpenFiles(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		var got []string
		for _, f := range set.List() {
			got = append(got, f.Name, f.Type.String()[:1], fmt.Sprint(f.Size))
			if f.Twice {
				got = append(got, "twice")
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s:\ngot  %s\nwant %s", place, s, want)
		}
		r, size, err := set.Open("oci-layout")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil || string(raw) != "{}" || size != 2 {
			t.Errorf("%s: oci-layout is %q, %v", place, raw, err)
		}
		r.Close()
		if _, _, err := set.Open("absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: absent: %v", place, err)
		}
	}
	for _, place := range []string{dir, packed} {
		set, err := OpenFiles(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		if _, _, err := set.Open("blobs/sha256/bb"); !errors.Is(err, ErrNotRegular) {
			t.Errorf("a link is opened: %v", err)
		}
	}
	if _, err := OpenFiles(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// makeZip packs a directory.
func makeZip(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		h, err := zip.FileInfoHeader(info)
		if err != nil {
			return err
		}
		if h.Name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		h.Name, h.Method = filepath.ToSlash(h.Name), zip.Deflate
		f, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		content := []byte("aa") // of a link, its target
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		_, err = f.Write(content)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
