package layout

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
)

// The ways to open a file, with openat2 and, for kernels that lack it, step by step, agree.
func TestH73_open(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "dir")
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "b", "file"), []byte("content"), 0o644))
	must(t, os.WriteFile(filepath.Join(base, "secret"), nil, 0o644))
	must(t, os.Symlink("file", filepath.Join(dir, "a", "b", "link")))
	must(t, os.Symlink("b", filepath.Join(dir, "a", "dirlink")))
	must(t, os.Symlink("../secret", filepath.Join(dir, "out")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	d, err := OpenDir(dir)
	must(t, err)
	defer d.Close()
	ways := map[string]func(string) (*os.File, error){
		"openat2": func(name string) (*os.File, error) { return d.openNoFollow(name, os.O_RDONLY, 0) },
		"by step": func(name string) (*os.File, error) {
			return d.openByStep(name, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		},
	}
	for way, open := range ways {
		f, err := open("a/b/file")
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		raw, err := io.ReadAll(f)
		if err != nil || string(raw) != "content" {
			t.Errorf("%s: %q, %v", way, raw, err)
		}
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("%s: flags %#x, %v", way, flags, err)
		}
		f.Close()
		for _, name := range []string{"a/b/link", "out", "a/dirlink/file", "../secret", "/etc/passwd", "a/../../secret", "", "absent", "a/b/file/x", "a//../out"} {
			if f, err := open(name); err == nil {
				t.Errorf("%s opens %q", way, name)
				f.Close()
			}
		}
	}
	for name, want := range map[string]error{
		"a/b/link": ErrNotRegular, "out": ErrNotRegular, "fifo": ErrNotRegular, "a": ErrNotRegular, "a/b": ErrNotRegular, "absent": fs.ErrNotExist, "a/b/c/d": fs.ErrNotExist,
	} {
		if _, err := d.Open(name); !errors.Is(err, want) {
			t.Errorf("Open(%q): %v, want %v", name, err, want)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenDir(dir)
	must(t, err)
	defer d.Close()
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("victim"), 0o644))
	for _, name := range []string{"x", "x.new"} { // planted links are replaced and not followed
		must(t, os.Symlink(victim, filepath.Join(dir, name)))
	}
	must(t, d.Replace("x", []byte("new"), 0o600))
	if raw, err := d.ReadFile("x", 3); err != nil || string(raw) != "new" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := d.ReadFile("x", 2); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if raw, err := os.ReadFile(victim); err != nil || string(raw) != "victim" {
		t.Errorf("a link was followed: %q, %v", raw, err)
	}
}

func TestLock(t *testing.T) {
	open := func() *os.File {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "..", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		must(t, err)
		return f
	}
	a, b, c := open(), open(), open()
	for _, f := range []*os.File{a, b} {
		if ok, err := TryLock(f, Shared); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	if ok, err := TryLock(c, Exclusive); ok || err != nil {
		t.Errorf("exclusive beside shared: %v, %v", ok, err)
	}
	a.Close()
	b.Close()
	must(t, Lock(t.Context(), c, Exclusive))
	c.Close()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
