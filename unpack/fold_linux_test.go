package unpack_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH47_case unpacks on a file system that does not tell upper case from lower, in a process with mounts
// of its own: NTFS by ntfs-3g, as this kernel may have no such file system.
func TestH47_case(t *testing.T) {
	needRoot(t)
	if base := os.Getenv("OCI_TEST_FOLDING"); base != "" {
		foldingTests(t, base)
		return
	}
	for _, program := range []string{"mkntfs", "lowntfs-3g"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no file system without case: %v (package ntfs-3g)", err)
		}
	}
	base := t.TempDir()
	disk, at := filepath.Join(base, "disk"), filepath.Join(base, "mnt")
	script := `set -e
truncate -s 16M "$1"; mkntfs -q -F -Q "$1" >/dev/null 2>&1; mkdir "$2"
lowntfs-3g -o ignore_case,permissions,streams_interface=none "$1" "$2"
OCI_TEST_FOLDING="$2" "$3" -test.run='^TestH47_case$' -test.v || exit 1
umount "$2"`
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script, "sh", disk, at, exe)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(string(out), "fuse") {
		t.Skipf("no FUSE: %s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func foldingTests(t *testing.T, base string) {
	for name, c := range map[string]struct {
		layers []entries
		one    string
		two    string // "" if all is well
		want   map[string]string
	}{
		"files of a layer":       {layers: []entries{{file("d/Foo", "1"), file("d/foo", "2")}}, one: "d/Foo", two: "d/foo"},
		"directories":            {layers: []entries{{file("Dir/a", "1"), file("dir/b", "2")}}, one: "Dir", two: "dir"},
		"of two layers":          {layers: []entries{{file("d/Foo", "1")}, {file("d/foo", "2")}}, one: "d/Foo", two: "d/foo"},
		"a directory below":      {layers: []entries{{file("Dir/a", "1")}, {file("dir/a", "2")}}, one: "Dir", two: "dir"},
		"a link and a file":      {layers: []entries{{sym("L", "x"), file("l", "1")}}, one: "L", two: "l"},
		"the target of a link":   {layers: []entries{{file("T", "1"), link("h", "t")}}, one: "T", two: "t"},
		"a link's own name":      {layers: []entries{{file("t", "1"), file("H", "2"), link("h", "t")}}, one: "H", two: "h"},
		"other letters":          {layers: []entries{{file("\u00c4", "1"), file("\u00e4", "2")}}, one: "\u00c4", two: "\u00e4"},
		"the same twice":         {layers: []entries{{dir("D"), file("D/F", "1"), file("D/F", "2"), dir("D")}, {file("D/F", "3"), link("D/G", "D/F")}}, want: map[string]string{"d/f": "file 3", "d/g": "file 3"}},
		"one after the other":    {layers: []entries{{file("Foo", "1")}, {gone("Foo"), file("foo", "2")}}, want: map[string]string{"foo": "file 2"}},
		"a whiteout of no file":  {layers: []entries{{file("Foo", "1")}, {gone("foo")}}, want: map[string]string{"foo": "file 1"}},
		"a directory of removed": {layers: []entries{{file("D/a", "1")}, {gone("D")}, {file("d/a", "2")}}, want: map[string]string{"d/a": "file 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := tartest.Blobs{}
			var layers []image.Layer
			for _, l := range c.layers {
				layers = append(layers, blobs.Layer(l...))
			}
			target := filepath.Join(base, "r")
			defer os.RemoveAll(target)
			_, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{})
			if c.two == "" {
				if err != nil {
					t.Fatal(err)
				}
				h := hazard{want: c.want}
				h.compare(t, target)
				return
			}
			var typed *unpack.Error
			if !errors.Is(err, unpack.ErrNames) || !errors.As(err, &typed) || typed.Layer != len(layers) {
				t.Fatalf("%v", err)
			}
			if want := `apart: "` + c.one + `" and "` + c.two + `"`; !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if _, err := os.Lstat(target); err == nil {
				t.Error("the target is there")
			}
		})
	}
}

// TestH47_others: on file systems that tell names apart both are there, and nothing of the question is left.
func TestH47_others(t *testing.T) {
	needRoot(t)
	runHazards(t, []hazard{{
		name:   "all apart",
		layers: []entries{{file("d/Foo", "1"), file("d/foo", "2"), file("\u00c4", "3"), file("A\u0308", "4")}, {gone("d/foo"), file("D/x", "5")}},
		want:   map[string]string{"d/Foo": "file 1", "d/foo": "-", "D/x": "file 5", "\u00c4": "file 3", "A\u0308": "file 4"},
	}})
	base := t.TempDir()
	ts := []unix.Timespec{{Sec: 5}, {Sec: 6}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, base, ts, 0); err != nil {
		t.Fatal(err)
	}
	root, err := unpack.OpenRoot(base)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	blobs := tartest.Blobs{}
	if _, err := unpack.ApplyLayer(t.Context(), blobs.Layer(), blobs, root, unpack.Merged, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(base)
	info, serr := os.Stat(base)
	if err != nil || serr != nil || len(names) != 0 || info.ModTime().Unix() != 6 {
		t.Errorf("%v, %v, %v, %v", names, err, info, serr)
	}
}
