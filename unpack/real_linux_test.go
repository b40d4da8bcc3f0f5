package unpack_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestRealUmoci compares the merged form with what umoci makes of the same image.
func TestRealUmoci(t *testing.T) {
	needRoot(t)
	umoci, err := exec.LookPath("umoci")
	if err != nil {
		t.Skip("umoci is not installed")
	}
	for _, name := range []string{"busybox", "debian", "python"} {
		t.Run(name, func(t *testing.T) {
			l, tag, img := tartest.RealImage(t, name)
			dir := filepath.Join(t.TempDir(), "rootfs")
			if _, err := unpack.Unpack(t.Context(), img.Layers(), l, dir, unpack.Options{}); err != nil {
				t.Fatal(err)
			}
			bundle := filepath.Join(t.TempDir(), "bundle")
			if out, err := exec.Command(umoci, "unpack", "--image", fmt.Sprintf("%s:%s", l, tag), bundle).CombinedOutput(); err != nil {
				t.Fatalf("umoci: %v\n%s", err, out)
			}
			sameTrees(t, tree(t, dir), tree(t, filepath.Join(bundle, "rootfs")))
		})
	}
}

// TestRealCompressions compares an image with itself in other compressions and formats.
func TestRealCompressions(t *testing.T) {
	needRoot(t)
	for _, pair := range [][2]string{{"python", "python-zstd"}, {"debian", "debian-v2s2"}} {
		t.Run(pair[1], func(t *testing.T) {
			var trees [2]map[string]tartest.Node
			for i, name := range pair {
				l, _, img := tartest.RealImage(t, name)
				dir := filepath.Join(t.TempDir(), "rootfs")
				if _, err := unpack.Unpack(t.Context(), img.Layers(), l, dir, unpack.Options{}); err != nil {
					t.Fatal(err)
				}
				trees[i] = tree(t, dir)
			}
			sameTrees(t, trees[1], trees[0])
		})
	}
}

// TestRealLayersRebuild unpacks each layer by itself and rebuilds its tar from files and log.
func TestRealLayersRebuild(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"busybox", "debian", "python-zstd"} {
		t.Run(name, func(t *testing.T) {
			l, _, img := tartest.RealImage(t, name)
			for _, layer := range img.Layers() {
				rebuilds(t, l, layer)
			}
		})
	}
}

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: owners and devices")
	}
}

func tree(tb testing.TB, dir string) map[string]tartest.Node {
	tb.Helper()
	nodes, err := tartest.Tree(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return nodes
}

func sameTrees(tb testing.TB, got, want map[string]tartest.Node) {
	tb.Helper()
	diff := tartest.Diff(got, want)
	for i, line := range diff {
		if i == 20 {
			tb.Errorf("and %d more", len(diff)-i)
			break
		}
		tb.Error(line)
	}
	if len(want) == 0 {
		tb.Error("the tree is empty")
	}
}

// rebuilds applies a layer in Overlay form with a log, and proves that its tar can be rebuilt.
func rebuilds(tb testing.TB, blobs unpack.Blobs, layer image.Layer) {
	tb.Helper()
	base := tb.TempDir()
	roots := map[string]*unpack.Root{}
	for _, name := range []string{"fs", "replaced"} {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		root, err := unpack.OpenRoot(dir)
		if err != nil {
			tb.Fatal(err)
		}
		defer root.Close()
		roots[name] = root
	}
	log, err := os.Create(filepath.Join(base, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	w, err := unpack.NewLogWriter(log)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = unpack.ApplyLayer(tb.Context(), layer, blobs, roots["fs"], unpack.Overlay, unpack.Options{Log: w, Replaced: roots["replaced"]})
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	sum := layer.DiffID.Algorithm().Digester()
	open := func(position int, name string) (io.ReadCloser, error) {
		if f, err := roots["replaced"].Open(fmt.Sprint(position)); err == nil {
			return f, nil
		}
		return roots["fs"].Open(name)
	}
	if err := unpack.RebuildTar(log, open, sum.Hash()); err != nil {
		tb.Fatal(err)
	}
	if got := sum.Digest(); got != layer.DiffID {
		tb.Errorf("rebuilt tar has %s, want %s", got, layer.DiffID)
	}
}
