package tree_test

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// TestReadFiles: files are those of the whole image, and links are followed inside it.
func TestReadFiles(t *testing.T) {
	blobs := tartest.Blobs{}
	layers := []image.Layer{
		blobs.Layer(
			tartest.File("etc/passwd", "old"), tartest.File("etc/group", "group"), tartest.File("gone/passwd", "gone"), tartest.File("other", "other"), tartest.Symlink("up", "../../etc"),
			tartest.Symlink("abs/passwd", "/etc/passwd"), tartest.Symlink("rel/passwd", "../up/passwd"), tartest.Symlink("loop/passwd", "passwd"), tartest.Dir("dir/passwd"), tartest.File("big/passwd", strings.Repeat("x", 100)),
			tartest.Symlink("to-other/passwd", "../other"), tartest.File("nix/store/x-passwd", "n"),
		),
		blobs.GzipTar(tartest.Archive(tartest.File("etc/passwd", "new"), tartest.Whiteout("gone/passwd"), tartest.Link("hard/passwd", "etc/group"))),
	}
	f, err := tree.ReadFiles(t.Context(), layers, blobs, tree.Options{}, func(name string, size int64) bool {
		base := path.Base(name)
		return size < 100 && (strings.HasSuffix(base, "passwd") || base == "group")
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/etc/passwd": "new", "etc//group": "group", "/abs/passwd": "new", "/rel/passwd": "new", "/hard/passwd": "group", "/../etc/./passwd": "new", "/nix/store/x-passwd": "n", "/up/../etc/passwd": "new",
	} {
		r, err := f.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want || r.Close() != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"/gone/passwd": fs.ErrNotExist, "/none/passwd": fs.ErrNotExist, "/etc/passwd/x": fs.ErrNotExist, "/big/passwd": tree.ErrNotKept, "/to-other/passwd": tree.ErrNotKept, "/loop/passwd": nil, "/dir/passwd": nil, "/": nil,
	} {
		var at *fs.PathError
		if _, err := f.Open(name); err == nil || !errors.As(err, &at) || at.Path != name || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// TestReadFiles_bad: a layer that is not what its digest says gives no files, and one that has too many to keep neither.
func TestReadFiles_bad(t *testing.T) {
	blobs := tartest.Blobs{}
	forged := blobs.Layer(tartest.File("etc/passwd", "x"))
	forged.DiffID = blobs.Layer(tartest.File("etc/passwd", "y")).DiffID
	all := func(string, int64) bool { return true }
	if _, err := tree.ReadFiles(t.Context(), []image.Layer{forged}, blobs, tree.Options{}, all); !errors.Is(err, unpack.ErrDiffID) {
		t.Error(err)
	}
	half := strings.Repeat("x", 17<<20)
	two := []image.Layer{blobs.Layer(tartest.File("a", half)), blobs.Layer(tartest.File("a", half))}
	if _, err := tree.ReadFiles(t.Context(), two, blobs, tree.Options{}, all); !errors.Is(err, unpack.ErrLimit) {
		t.Error(err)
	}
}
