//go:build linux

package convert

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestH14_hostile_files: what an image may have at /etc/passwd, opened by both ways of opening.
func TestH14_hostile_files(t *testing.T) {
	const secret = "root:x:0:0:secret of the host:/:/bin/sh\n"
	outside := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(outside, []byte(secret), 0o600))
	for _, tt := range []struct {
		name string
		make func(etc string) error
		ok   bool // opens, and has the text "inside"
		slow bool // the slow way refuses it, which is safe too
	}{
		{"regular", func(etc string) error { return os.WriteFile(etc+"/passwd", []byte("inside"), 0o644) }, true, false},
		{"link within", func(etc string) error {
			return errors.Join(os.WriteFile(etc+"/p", []byte("inside"), 0o644), os.Symlink("p", etc+"/passwd"))
		}, true, false},
		{"absolute link within", func(etc string) error {
			return errors.Join(os.WriteFile(etc+"/p", []byte("inside"), 0o644), os.Symlink("/etc/p", etc+"/passwd"))
		}, true, true},
		{"link to the host", func(etc string) error { return os.Symlink(outside, etc+"/passwd") }, false, false},
		{"dots to the host", func(etc string) error {
			return os.Symlink(strings.Repeat("../", 20)+outside, etc+"/passwd")
		}, false, false},
		{"link loop", func(etc string) error { return os.Symlink("passwd", etc+"/passwd") }, false, false},
		{"fifo", func(etc string) error { return unix.Mkfifo(etc+"/passwd", 0o644) }, false, false},
		{"directory", func(etc string) error { return os.Mkdir(etc+"/passwd", 0o755) }, false, false},
		{"1 GiB", func(etc string) error {
			return errors.Join(os.WriteFile(etc+"/passwd", nil, 0o644), os.Truncate(etc+"/passwd", 1<<30))
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(dir+"/etc", 0o755))
			must(t, tt.make(dir+"/etc"))
			root, err := OpenRoot(dir)
			must(t, err)
			defer root.Close()
			check := func(way string, f io.ReadCloser, err error, ok bool) {
				if err != nil {
					if ok {
						t.Errorf("%s: %v", way, err)
					}
					return
				}
				defer f.Close()
				text, _ := io.ReadAll(io.LimitReader(f, 100))
				if !ok || string(text) != "inside" {
					t.Errorf("%s: opened, with %q", way, text)
				}
			}
			f, err := root.Open("/etc/passwd")
			check("openat2", f, err, tt.ok)
			if !tt.slow {
				f, err = root.openSlow("/etc/passwd")
				check("slow", f, err, tt.ok)
			}
			_, err = Spec(imageOf("app"), root, plain())
			if err == nil || strings.Contains(err.Error(), "secret of the host") {
				t.Errorf("Spec: %v", err)
			}
		})
	}
}

func TestRootMissing(t *testing.T) {
	root, err := OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	if _, err := root.Open("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := root.openSlow("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := OpenRoot(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
