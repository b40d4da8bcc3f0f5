//go:build unix

package bundle

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestH38_bundle_is_private: whatever the umask, no other user gets below a new bundle; the mode of a
// directory that was there is its owner's choice.
func TestH38_bundle_is_private(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "b")
	if err := Write(dir, DefaultSpec()); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("a new bundle: %v, %v", fi.Mode(), err)
	}
	there := filepath.Join(t.TempDir(), "there")
	if err := os.Mkdir(there, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := Write(there, DefaultSpec()); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(there); err != nil || fi.Mode().Perm() != 0o750 {
		t.Errorf("a directory that was there: %v, %v", fi.Mode(), err)
	}
}
