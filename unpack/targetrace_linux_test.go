package unpack_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH10_target_replaced: someone who can write to the directory of the target puts a link to a full
// directory in its place, again and again: nothing is unpacked there, and a layer that fails empties nothing there.
func TestH10_target_replaced(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := map[bool][]image.Layer{
		false: {blobs.Layer(file("f", "x"), file("../bad", "x"))},
		true:  {blobs.Layer(file("f", "x"))},
	}
	for _, there := range []bool{true, false} { // the target is an empty directory, or is made
		dir := t.TempDir()
		full, target := filepath.Join(dir, "full"), filepath.Join(dir, "target")
		if err := os.MkdirAll(filepath.Join(full, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(full, "d", "mine"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := tree(t, full)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		link := filepath.Join(dir, "link")
		if err := os.Symlink(full, link); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, target, unix.RENAME_EXCHANGE)
				}
			}
		})
		for i := range 300 {
			if there {
				_ = os.Mkdir(target, 0o755)
			}
			_, _ = unpack.Unpack(t.Context(), layers[i%4 == 0], blobs, target, unpack.Options{})
			for _, p := range []string{target, link} { // what became a directory is made new
				if st, err := os.Lstat(p); err == nil && st.IsDir() {
					_ = os.RemoveAll(p)
				}
			}
			if _, err := os.Lstat(link); err != nil {
				_ = os.Remove(target)
				_ = os.Symlink(full, link)
			}
		}
		close(stop)
		wg.Wait()
		for _, line := range tartest.Diff(tree(t, full), before) {
			t.Errorf("there before %v: %s", there, line)
		}
	}
}
