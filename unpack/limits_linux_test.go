package unpack_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// smallFS gives a directory on a file system of its own that is attached nowhere.
func smallFS(t *testing.T, options ...string) string {
	t.Helper()
	needRoot(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("no detached mounts: %v", err)
	}
	defer unix.Close(fs)
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "tmpfs")
	t.Cleanup(func() { f.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// TestH48_full: a full file system is a typed error, and what was unpacked is removed again.
func TestH48_full(t *testing.T) {
	blobs := tartest.Blobs{}
	var many entries
	for i := range 300 {
		many = append(many, file(fmt.Sprintf("d/f%d", i), "x"))
	}
	for name, c := range map[string]struct {
		options string
		layer   image.Layer
	}{
		"blocks": {"size=64k", blobs.Layer(file("d/big", strings.Repeat("x", 200000)))},
		"inodes": {"nr_inodes=100", blobs.Layer(many...)},
	} {
		target := filepath.Join(smallFS(t, c.options), "r")
		_, err := unpack.Unpack(t.Context(), []image.Layer{c.layer}, blobs, target, unpack.Options{Limits: unpack.Limits{FreeBytes: -1}})
		var typed *unpack.Error
		if !errors.Is(err, unix.ENOSPC) || !errors.As(err, &typed) || !strings.HasPrefix(typed.Subject, "d/") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("%s: the target is still there", name)
		}
	}
}

// TestH48_refused: other bounds of file systems, met as the kernel says them (by a filter): too many names
// of a file, a quota. The error is typed and names the entry, and what was unpacked is removed again.
func TestH48_refused(t *testing.T) {
	needRoot(t)
	want := map[string]unix.Errno{"EMLINK": unix.EMLINK, "EDQUOT": unix.EDQUOT}[os.Getenv("OCI_TEST_REFUSED")]
	if want != 0 {
		target := filepath.Join(t.TempDir(), "r")
		blobs := tartest.Blobs{}
		layers := []image.Layer{blobs.Layer(dir("d"), file("d/f", "x")), blobs.Layer(link("d/h", "d/f"), tartest.Entry{Name: "d/p", Type: '6'})}
		_, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{})
		var typed *unpack.Error
		if !errors.Is(err, want) || !errors.As(err, &typed) || typed.Layer != 2 || !strings.HasPrefix(typed.Subject, "d/") {
			t.Errorf("%v", err)
		}
		if _, err := os.Lstat(target); err == nil {
			t.Error("the target is still there")
		}
		return
	}
	for name, r := range map[string]tartest.Refusal{
		"EMLINK": {Call: unix.SYS_LINKAT, Errno: unix.EMLINK},
		"EDQUOT": {Call: unix.SYS_MKNODAT, Errno: unix.EDQUOT, Arg: 2, Mask: unix.S_IFIFO},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestH48_refused$")
		cmd.Env = append(os.Environ(), "OCI_TEST_REFUSED="+name)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := tartest.RunWithout(cmd, r); errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		} else if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// TestRootOf: a Root on a detached mount reads and unpacks; it does not leave the mount.
func TestRootOf(t *testing.T) {
	f, err := os.Open(smallFS(t))
	if err != nil {
		t.Fatal(err)
	}
	root, err := unpack.RootOf(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	blobs := tartest.Blobs{}
	layer := blobs.Layer(file("etc/passwd", "root"), sym("abs", "/etc/passwd"), sym("up", "../../../etc/passwd"), sym("loop", "loop"),
		tartest.Entry{Name: "pipe", Type: '6'}, tartest.Entry{Name: "null", Type: '3', Major: 1, Minor: 3}, sym("host", "/proc/self/root/etc/hostname"))
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Merged, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, unpack.Options{}); !errors.Is(err, unpack.ErrNotEmpty) {
		t.Errorf("overlay form in a directory that is not empty: %v", err)
	}
	for _, openat2 := range []bool{true, false} {
		if !openat2 {
			root.WithoutOpenat2()
		}
		for name, ok := range map[string]bool{
			"etc/passwd": true, "/etc/passwd": true, "abs": true, "up": true, "etc/../../../etc/./passwd": true, "//etc//passwd": true,
			"loop": false, "pipe": false, "null": false, "etc": false, "host": false, "none": false, "": false, "..": false, "etc/passwd/x": false,
		} {
			r, err := root.Open(name)
			if err == nil {
				r.Close()
			}
			if (err == nil) != ok {
				t.Errorf("openat2 %v: Open(%q): %v", openat2, name, err)
			}
		}
	}
}
