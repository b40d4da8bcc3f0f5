package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// root makes the root file system of an image that has something in its volumes, and a place outside that must not change.
func root(t *testing.T) (*os.File, *tartest.Canary) {
	t.Helper()
	c := tartest.NewCanary(t)
	data := filepath.Join(c.Target, "var/data")
	old := time.Unix(1e9, 5)
	err := errors.Join(
		os.MkdirAll(filepath.Join(data, "sub"), 0o755), os.WriteFile(filepath.Join(data, "sub/file"), []byte("of the image"), 0o640),
		os.Symlink("file", filepath.Join(data, "sub/link")), os.Link(filepath.Join(data, "sub/file"), filepath.Join(data, "second")),
		unix.Mkfifo(filepath.Join(data, "fifo"), 0o600), os.Truncate(filepath.Join(data, "sub/file"), 1<<20),
		os.Chmod(data, os.ModeSticky|0o777),
		os.Symlink("/var/data", filepath.Join(c.Target, "absolute")), os.Symlink("../../../../out", filepath.Join(c.Target, "var/outside")),
		os.Symlink(filepath.Join(c.Dir, "out"), filepath.Join(c.Target, "elsewhere")), os.WriteFile(filepath.Join(c.Target, "plain"), nil, 0o644),
		os.Symlink("loop", filepath.Join(c.Target, "loop")),
	)
	if os.Geteuid() == 0 {
		err = errors.Join(err, os.Chown(filepath.Join(data, "sub/file"), 5, 6), os.Chown(data, 7, 8),
			unix.Setxattr(filepath.Join(data, "sub/file"), "user.note", []byte("kept"), 0))
	}
	err = errors.Join(err, os.Chtimes(filepath.Join(data, "sub/file"), old, old), os.Chtimes(data, old, old))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(c.Target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, c
}

// differences tells how two directories differ.
func differences(a, b string) ([]tree.Change, error) {
	var trees [2]*tree.Tree
	for i, dir := range []string{a, b} {
		f, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if trees[i], err = tree.OfDir(context.Background(), f, tree.DirOptions{Content: true}); err != nil {
			return nil, err
		}
	}
	return tree.Diff(trees[0], trees[1], tree.DiffOptions{Content: true}), nil
}

func use(t *testing.T, s *Store, r Request) Info {
	t.Helper()
	info, err := s.Use(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			list = append(list, e.Name())
		}
	}
	return list
}

// TestISV4_filled: a new volume has what the image has, down to times and attributes; it is filled once.
func TestISV4_filled(t *testing.T) {
	r, c := root(t)
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	for _, destination := range []string{"/var/data", "var/data/", "/absolute"} {
		v := use(t, s, Request{Name: "v" + strings.Trim(strings.ReplaceAll(destination, "/", "-"), "-"), User: "a", Seed: Seed{Root: r, Destination: destination}})
		diffs, err := differences(filepath.Join(c.Target, "var/data"), v.Path)
		if err != nil || len(diffs) > 0 {
			t.Errorf("%s: %v, %v", destination, diffs, err)
		}
	}
	v := use(t, s, Request{Name: "vvar-data", User: "b", Seed: Seed{Root: r, Destination: "/plain"}})
	if !slices.Equal(v.Users, []string{"a", "b"}) && !slices.Equal(v.Users, []string{"a"}) {
		t.Errorf("users %v", v.Users)
	}
	if err := os.RemoveAll(filepath.Join(v.Path, "sub")); err != nil {
		t.Fatal(err)
	}
	use(t, s, Request{Name: v.Name, User: "c", Seed: Seed{Root: r, Destination: "/var/data"}})
	if _, err := os.Stat(filepath.Join(v.Path, "sub")); err == nil {
		t.Error("filled again")
	}
	c.Check(t)
}

// TestH16_destinations: whatever the image has at the destination, nothing outside is read or changed (H-16, CVE-2022-23648).
func TestH16_destinations(t *testing.T) {
	r, c := root(t)
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	for _, tt := range []struct {
		destination string
		err         error
	}{
		{"/var/outside", nil},
		{"/elsewhere", nil},
		{"/../../out", nil},
		{"/missing/deep", nil},
		{"/plain", ErrDestination},
		{"/plain/below", ErrDestination},
		{"/loop", unix.ELOOP},
	} {
		v, err := s.Use(context.Background(), Request{Name: "x", Seed: Seed{Root: r, Destination: tt.destination}})
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.destination, err, tt.err)
		}
		if err != nil {
			if left := names(t, s.dir); len(left) > 0 {
				t.Errorf("%s: left %v", tt.destination, left)
			}
			continue
		}
		if got := names(t, v.Path); len(got) > 0 {
			t.Errorf("%s: filled with %v", tt.destination, got)
		}
		if err := s.Remove("x"); err != nil {
			t.Fatal(err)
		}
	}
	c.Check(t)
}

// TestVolumeNames: a name is the name of one directory, and of no other thing.
func TestVolumeNames(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	for _, name := range []string{"..", ".", ".lock", "a/b", "/etc", "-rf", "a\x00", "a b", "ü", strings.Repeat("a", 256), "_x"} {
		_, errUse := s.Use(context.Background(), Request{Name: name})
		_, errCreate := s.Create(name, nil)
		_, errInspect := s.Inspect(name)
		for _, err := range []error{errUse, errCreate, errInspect, s.Remove(name)} {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if got := names(t, s.dir); len(got) > 0 {
		t.Errorf("made %v", got)
	}
}

// TestReplacedByLinks: a volume whose directories were replaced by links is refused, and what they lead to is left alone.
func TestReplacedByLinks(t *testing.T) {
	c := tartest.NewCanary(t)
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	for _, replaced := range []string{"", dataDir, infoFile} {
		v := use(t, s, Request{Name: "v"})
		path := filepath.Join(s.dir, "v", replaced)
		if err := errors.Join(os.RemoveAll(path), os.Symlink(filepath.Join(c.Dir, "out"), path)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Use(context.Background(), Request{Name: "v", User: "u"}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", replaced, err)
		}
		if list, err := s.List(); len(list) > 0 || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", replaced, list, err)
		}
		if err := s.Remove(v.Name); err != nil {
			t.Errorf("%s: %v", replaced, err)
		}
	}
	c.Check(t)
}

// TestUnusedIsFilledOnce: what `volume create` made is filled by its first container, unless somebody put files there.
func TestUnusedIsFilledOnce(t *testing.T) {
	r, _ := root(t)
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	for _, name := range []string{"empty", "filled"} {
		v, err := s.Create(name, map[string]string{"a": "b"})
		if err == nil && name == "filled" {
			err = os.WriteFile(filepath.Join(v.Path, "mine"), nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(name, nil); !errors.Is(err, ErrExist) {
			t.Errorf("made twice: %v", err)
		}
		use(t, s, Request{Name: name, User: "u", Seed: Seed{Root: r, Destination: "/var/data"}})
		_, err = os.Stat(filepath.Join(v.Path, "sub/file"))
		if (err == nil) != (name == "empty") {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := s.Inspect(name); err != nil || got.Labels["a"] != "b" || !got.Used {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// TestUsersAndPrune: a volume that a container has stays; one that was made for a container goes with it.
func TestUsersAndPrune(t *testing.T) {
	dead := map[string]bool{}
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{Alive: func(id string) bool { return !dead[id] }})
	named := use(t, s, Request{Name: "named", User: "a"})
	use(t, s, Request{Name: "named", User: "b"})
	anonymous, kept := use(t, s, Request{User: "a"}), use(t, s, Request{User: "a"})
	use(t, s, Request{Name: kept.Name, User: "b"})
	if err := s.Remove("named"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "a, b") {
		t.Errorf("removed what is in use: %v", err)
	}
	if err := s.Release("a", []string{named.Name, anonymous.Name, kept.Name, "gone", "../x"}, true); err != nil {
		t.Error(err)
	}
	want := []string{kept.Name, "named"}
	if got := names(t, s.dir); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := os.MkdirAll(filepath.Join(s.dir, stagingPrefix+"left", dataDir), 0o700); err != nil {
		t.Fatal(err)
	}
	dead["b"] = true
	if gone, err := s.Prune(false); err != nil || !slices.Equal(gone, []string{kept.Name}) {
		t.Errorf("%v, %v", gone, err)
	}
	if gone, err := s.Prune(true); err != nil || !slices.Equal(gone, []string{"named"}) {
		t.Errorf("%v, %v", gone, err)
	}
	if got := names(t, s.dir); len(got) > 0 {
		t.Errorf("left %v", got)
	}
	if err := s.Remove("named"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestSeveralAtOnce: one fills it, all have it.
func TestSeveralAtOnce(t *testing.T) {
	r, c := root(t)
	s := Open(filepath.Join(t.TempDir(), "volumes"), Options{})
	var all sync.WaitGroup
	for _, id := range strings.Split("abcdefgh", "") {
		all.Go(func() {
			v, err := s.Use(context.Background(), Request{Name: "v", User: id, Seed: Seed{Root: r, Destination: "/var/data"}})
			if err != nil {
				t.Error(err)
			} else if _, err := os.Stat(filepath.Join(v.Path, "sub/link")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	v, err := s.Inspect("v")
	if err != nil || len(v.Users) != 8 || !slices.Equal(names(t, s.dir), []string{"v"}) {
		t.Errorf("%+v, %v, %v", v, err, names(t, s.dir))
	}
	c.Check(t)
}

// TestKilled: whenever a process that fills a volume is killed, the volume is not there or is whole, and nothing is left that prune
// does not remove.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("VOLUME_KILLED"); dir != "" {
		r, err := os.Open(os.Getenv("VOLUME_ROOT"))
		if err == nil {
			for err == nil {
				s := Open(dir, Options{})
				if _, err = s.Use(context.Background(), Request{Name: "v", Seed: Seed{Root: r, Destination: "/var/data"}}); err == nil {
					err = s.Remove("v")
				}
			}
		}
		t.Fatal(err)
	}
	r, c := root(t)
	dir := filepath.Join(t.TempDir(), "volumes")
	for i := range 12 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "VOLUME_KILLED="+dir, "VOLUME_ROOT="+r.Name())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+3*i) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		s := Open(dir, Options{})
		if v, err := s.Inspect("v"); err == nil {
			diffs, err := differences(filepath.Join(c.Target, "var/data"), v.Path)
			if err != nil || len(diffs) > 0 {
				t.Errorf("half a volume: %v, %v", diffs, err)
			}
		} else if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if _, err := s.Prune(true); err != nil {
			t.Error(err)
		}
		if got := names(t, dir); len(got) > 0 {
			t.Errorf("left %v", got)
		}
	}
	c.Check(t)
}
