package tree_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: owners and devices")
	}
}

// ofDir reads a directory with content.
func ofDir(tb testing.TB, dir string) *tree.Tree {
	tb.Helper()
	f, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return ofFile(tb, f)
}

func ofFile(tb testing.TB, f *os.File) *tree.Tree {
	tb.Helper()
	t, err := tree.OfDir(tb.Context(), f, tree.DirOptions{Content: true})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func same(tb testing.TB, what string, got, want *tree.Tree) {
	tb.Helper()
	changes := tree.Diff(want, got, tree.DiffOptions{Content: true})
	for i, line := range lines(changes) {
		if i == 20 {
			tb.Errorf("%s: and %d more", what, len(changes)-i)
			break
		}
		tb.Errorf("%s: %s", what, line)
	}
	if want.Len() != got.Len() {
		tb.Errorf("%s: %d paths, want %d", what, got.Len(), want.Len())
	}
	if want.Len() < 2 {
		tb.Errorf("%s: the tree is empty", what)
	}
}

// TestRealModel compares the model of real images with what both forms of unpacking make of them, with the
// model from tar-split logs, and with what GNU tar and umoci make of them.
func TestRealModel(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"busybox", "debian", "busybox-list", "python"} {
		t.Run(name, func(t *testing.T) {
			l, tag, img := tartest.RealImage(t, name)
			model, err := tree.OfLayers(t.Context(), img.Layers(), l, tree.Options{Content: true})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "rootfs")
			if _, err := unpack.Unpack(t.Context(), img.Layers(), l, dir, unpack.Options{}); err != nil {
				t.Fatal(err)
			}
			same(t, "merged", ofDir(t, dir), model)
			realStacked(t, l, img, model)
			if name != "python" { // an entry of it leads through a symbolic link, which tar would follow out of the root
				t.Run("GNU tar", func(t *testing.T) {
					dir := filepath.Join(t.TempDir(), "rootfs")
					explained(t, oracle{name: "GNU tar", rules: tarRules()}, model, realTar(t, dir, l, img))
				})
			}
			if name == "busybox" || name == "debian" { // umoci reads no list; package unpack has python
				t.Run("umoci", func(t *testing.T) { realUmoci(t, string(l)+":"+tag, model) })
			}
		})
	}
}

func realUmoci(t *testing.T, ref string, model *tree.Tree) {
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("umoci is not installed")
	}
	dir := filepath.Join(t.TempDir(), "rootfs")
	if out, err := exec.Command("umoci", "raw", "unpack", "--image", ref, dir).CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v\n%s", err, out)
	}
	explained(t, oracle{name: "umoci", rules: umociRules()}, model, ofDir(t, dir))
}

// TestRealZstd compares the models of an image in two compressions.
func TestRealZstd(t *testing.T) {
	var trees [2]*tree.Tree
	for i, name := range []string{"python", "python-zstd"} {
		l, _, img := tartest.RealImage(t, name)
		var err error
		if trees[i], err = tree.OfLayers(t.Context(), img.Layers(), l, tree.Options{Content: true}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "zstd", trees[1], trees[0])
}

// realStacked compares the model with the layers by themselves, stacked, and with that from their logs.
func realStacked(t *testing.T, l tartest.Layout, img image.Image, model *tree.Tree) {
	store := filepath.Join(t.TempDir(), "layers")
	s, err := snapshot.Open(store, snapshot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := s.Ensure(t.Context(), img.Layers(), l)
	if err != nil {
		t.Fatal(err)
	}
	m, err := snapshot.Mount(t.Context(), snapshot.MountOptions{Layers: dirs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	same(t, "overlay", ofFile(t, m), model)

	logs := func(layer image.Layer) (io.ReadCloser, error) {
		return os.Open(filepath.Join(store, layer.DiffID.Algorithm().String(), layer.DiffID.Encoded(), "tar-split.json.zst"))
	}
	fromLogs, err := tree.OfLayers(t.Context(), img.Layers(), nil, tree.Options{Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	if changes := tree.Diff(model, fromLogs, tree.DiffOptions{}); len(changes) > 0 || fromLogs.Len() != model.Len() {
		t.Errorf("from logs: %d paths, want %d; %v", fromLogs.Len(), model.Len(), lines(changes))
	}
}

// realTar applies the layers of an image with GNU tar, if none of its names leads through a symbolic link that leads up.
func realTar(t *testing.T, dir string, l tartest.Layout, img image.Image) *tree.Tree {
	links := map[string]bool{}
	blobs := tartest.Blobs{}
	var layers []image.Layer
	for _, layer := range img.Layers() {
		_, err := unpack.ReadLayer(t.Context(), layer, l, unpack.Options{}, func(e *unpack.Entry, _ io.Reader) error {
			links[e.Path] = links[e.Path] || e.Kind == unpack.Symlink && (strings.HasPrefix(e.Link, "/") || strings.Contains(e.Link, ".."))
			if under(links, path.Dir(e.Path)) {
				return fmt.Errorf("%q leads through a symbolic link", e.Path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(l.Path(layer.Descriptor.Digest))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, blobs.Tar(raw))
	}
	got, err := gnuTar(t, dir, layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// explained fails for what no rule explains, and counts the rest.
func explained(t *testing.T, o oracle, model, got *tree.Tree) {
	used, left := o.explainTrees(facts{}, model, got)
	if left != "" {
		t.Errorf("%.2000s", left)
	}
	counts := map[string]int{}
	for _, name := range used {
		counts[name]++
	}
	for name, n := range counts {
		t.Logf("%d of %d paths: %s", n, model.Len(), name)
	}
}
