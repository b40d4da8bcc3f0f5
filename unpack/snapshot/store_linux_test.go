package snapshot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/overlay"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// counted counts how often blobs are read to their end.
type counted struct {
	tartest.Blobs
	n atomic.Int64
}

func (c *counted) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	rc, err := c.Blobs.Open(ctx, d)
	return &countedFile{rc, c}, err
}

type countedFile struct {
	io.ReadCloser
	c *counted
}

func (f *countedFile) ReadAt(b []byte, off int64) (int, error) {
	return f.ReadCloser.(io.ReaderAt).ReadAt(b, off)
}

func (f *countedFile) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	if err == io.EOF {
		f.c.n.Add(1)
	}
	return n, err
}

// TestEnsureShared: whoever asks at the same time, a layer is unpacked once.
func TestEnsureShared(t *testing.T) {
	needRoot(t)
	blobs := &counted{Blobs: tartest.Blobs{}}
	var layers []image.Layer
	for i := range 4 {
		layers = append(layers, blobs.GzipTar(tartest.Archive(tartest.File(fmt.Sprint("f", i), rand.Text()))))
	}
	dir := filepath.Join(t.TempDir(), "layers")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(dir, Options{}) // each with its own locks, as another process
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Ensure(t.Context(), layers, blobs); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := blobs.n.Load(); n != 4 {
		t.Errorf("%d blobs were read for 4 layers", n)
	}
}

// TestEnsureBad: nothing of a bad layer is published, and what is good stays.
func TestEnsureBad(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	good := blobs.Layer(tartest.File("f", "x"))
	for name, bad := range map[string]struct {
		layer image.Layer
		err   error
	}{
		"DiffID":  {image.Layer{Descriptor: blobs.Layer(tartest.File("g", "x")).Descriptor, DiffID: digest.FromString("no")}, unpack.ErrDiffID},
		"path":    {blobs.Layer(tartest.File("../g", "x")), unpack.ErrUnsafePath},
		"link":    {blobs.Layer(tartest.Link("h", "nowhere")), unpack.ErrLink},
		"digest":  {image.Layer{Descriptor: good.Descriptor, DiffID: "sha256:../../x"}, image.ErrDigestInvalid},
		"no blob": {tartest.Blobs{}.Layer(tartest.File("h", "x")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{Jobs: 1})
			_, err := s.Ensure(t.Context(), []image.Layer{good, bad.layer}, blobs)
			if err == nil || bad.err != nil && !errors.Is(err, bad.err) {
				t.Errorf("error %v, want %v", err, bad.err)
			}
			if name != "digest" && !s.Has(good.DiffID) { // a bad digest is seen first
				t.Error("the good layer is not there")
			}
			if name != "link" && s.Has(bad.layer.DiffID) {
				t.Error("the bad layer is there")
			}
			if entries, _ := os.ReadDir(filepath.Join(s.dir, stagingDir)); len(entries) > 0 {
				t.Errorf("staging holds %v", entries)
			}
		})
	}
}

// TestKillChild unpacks a large layer; TestKill kills it.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("OCI_TEST_KILL")
	if dir == "" {
		t.Skip("it is run by TestKill")
	}
	layer, blobs := largeLayer()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs); err != nil {
		t.Fatal(err)
	}
}

func largeLayer() (image.Layer, tartest.Blobs) {
	blobs := tartest.Blobs{}
	var list []tartest.Entry
	for i := range 1500 {
		list = append(list, tartest.File(fmt.Sprintf("d%d/f%d", i%50, i), strings.Repeat("x", 3000)))
	}
	return blobs.Layer(list...), blobs
}

// TestKill: kill -9 at any moment leaves nothing that counts, and the next process goes on.
func TestKill(t *testing.T) {
	needRoot(t)
	layer, blobs := largeLayer()
	for i, files := range []int{0, 1, 20} {
		dir := filepath.Join(t.TempDir(), "layers")
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKillChild$")
		cmd.Env = append(os.Environ(), "OCI_TEST_KILL="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stage := filepath.Join(dir, stagingDir, name(layer.DiffID))
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if names, err := os.ReadDir(filepath.Join(stage, filesDir)); err == nil && len(names) >= files {
				break
			}
		}
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(stage); err != nil || s.Has(layer.DiffID) {
			t.Errorf("the process was killed too late: %v", err)
		}
		if i == 0 {
			p, err := s.Prune(t.Context(), func(digest.Digest) bool { return true })
			if err != nil || p.Stale != 1 {
				t.Errorf("Prune: %+v, %v", p, err)
			}
		}
		if _, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs); err != nil {
			t.Error(err)
		}
		if err := s.WriteTar(t.Context(), layer.DiffID, io.Discard); err != nil {
			t.Error(err)
		}
		if entries, _ := os.ReadDir(filepath.Join(dir, stagingDir)); len(entries) > 0 {
			t.Errorf("staging holds %v", entries)
		}
	}
}

// TestBrokenMarker: a layer directory that a power cut left without its marker is made anew.
func TestBrokenMarker(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layer := blobs.Layer(tartest.File("f", "x"))
	s := newStore(t, Options{Sync: true})
	for _, raw := range []string{"", "{", `{"version":9}`, `{"version":2,"diffID":"sha256:00"}`} {
		dirs, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(dirs[0]), markerFile), []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.Has(layer.DiffID) {
			t.Errorf("a marker %q counts", raw)
		}
	}
	if _, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs); err != nil || !s.Has(layer.DiffID) {
		t.Errorf("Ensure: %v", err)
	}
}

func TestForm(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layer := blobs.Layer(tartest.File("f", "x"))
	s := newStore(t, Options{})
	if _, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs); err != nil {
		t.Fatal(err)
	}
	other, err := Open(s.dir, Options{Unpack: unpack.Options{UserXattr: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Ensure(t.Context(), []image.Layer{layer}, blobs); !errors.Is(err, ErrForm) {
		t.Errorf("error %v", err)
	}
}

func TestPrune(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	base := blobs.Layer(tartest.Entry{Name: "d/", Type: '5', Mode: 0o700}, tartest.File("d/f", "x"))
	top, other := blobs.Layer(tartest.File("d/g", "x")), blobs.Layer(tartest.File("h", "x"))
	s := newStore(t, Options{})
	for _, stack := range [][]image.Layer{{base, top}, {base, other}} {
		if _, err := s.Ensure(t.Context(), stack, blobs); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := s.tryLock(name(top.DiffID))
	if err != nil {
		t.Fatal(err)
	}
	keep := func(d digest.Digest) bool { return d == base.DiffID || d == other.DiffID }
	if p, err := s.Prune(t.Context(), keep); err != nil || len(p.Layers) != 0 || p.Chains != 1 {
		t.Errorf("a layer that is locked: %+v, %v", p, err)
	}
	unlock()
	if p, err := s.Prune(t.Context(), keep); err != nil || len(p.Layers) != 1 || p.Layers[0] != top.DiffID {
		t.Errorf("Prune: %+v, %v", p, err)
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || s.Has(top.DiffID) || !s.Has(base.DiffID) {
		t.Errorf("List: %v, %v", list, err)
	}
	if err := s.WriteTar(t.Context(), top.DiffID, io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("WriteTar: %v", err)
	}
	dirs, err := s.Ensure(t.Context(), []image.Layer{base, top}, blobs)
	if err != nil {
		t.Fatal(err)
	}
	if n := mounted(t, dirs)["d"]; n.Mode != 0o700 {
		t.Errorf("d is %s", n)
	}
}

// TestMountSingle: one layer alone, read-only, shows no whiteouts (H-25).
func TestMountSingle(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(tartest.File("d/a", "1"), tartest.Whiteout("d/b"), tartest.Whiteout("c"))}
	nodes := sameForms(t, layers, blobs)
	if len(nodes) != 3 {
		t.Errorf("the tree is %v", nodes)
	}
}

// TestMountMany: an image with as many layers as an image may have, each of which needs a directory of its own
// and one of chains/: more than overlayfs stacks. The lowest become one.
func TestMountMany(t *testing.T) {
	needRoot(t)
	for _, n := range []int{1, 2, 100, image.MaxLayers} {
		blobs := tartest.Blobs{}
		layers := []image.Layer{blobs.Layer(tartest.Entry{Name: "d/", Type: '5', Mode: 0o711, UID: 3, Mtime: 4})}
		for i := 1; i < n; i++ {
			layers = append(layers, blobs.Layer(tartest.File(fmt.Sprint("d/f", i), fmt.Sprint(i)), tartest.File("d/top", fmt.Sprint(i))))
		}
		dir := t.TempDir()
		for range 3 {
			dir = filepath.Join(dir, strings.Repeat("p", 90)+`\ ,:`)
		}
		s, err := Open(filepath.Join(dir, "layers"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := s.Ensure(t.Context(), layers, blobs)
		if err != nil {
			t.Fatal(err)
		}
		want := merged(t, layers, blobs)
		for _, line := range tartest.Diff(mounted(t, dirs), want) {
			t.Errorf("%d layers: %s", n, line)
		}
		if n < image.MaxLayers {
			continue
		}
		if chains, _ := os.ReadDir(filepath.Join(s.dir, chainsDir)); len(dirs) != overlay.MaxLayers || len(chains) != n {
			t.Errorf("%d directories, %d chains", len(dirs), len(chains)) // one for each layer but the first, and the base
		}
		if p, err := s.Prune(t.Context(), func(d digest.Digest) bool { return d != layers[0].DiffID }); err != nil || p.Chains != n {
			t.Errorf("Prune: %d chains, %v", p.Chains, err)
		}
	}
}

func TestMountErrors(t *testing.T) {
	for _, o := range []MountOptions{{}, {Layers: []string{"/"}, Upper: "/x"}, {Layers: []string{"/nowhere/a", "/nowhere/b"}}} {
		var e *Error
		if _, err := Mount(t.Context(), o); !errors.As(err, &e) || errors.Is(err, ErrOverlay) {
			t.Errorf("%+v: %v", o, err) // nothing that a copy of the layers could mend
		}
	}
}

// TestCheckLayer: every change of a layer's directory is found; what was not changed is not rebuilt.
func TestCheckLayer(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layer := blobs.Layer(
		tartest.File("a", "first"), tartest.File("d/b", "12345"), tartest.Link("l", "a"), tartest.Symlink("s", "d"),
		tartest.File("s/through", "x"), tartest.Whiteout("d/w"), tartest.Whiteout("gone"), tartest.File("a2", "1"), tartest.File("a2", "22"))
	for what, change := range map[string]func(dir string) error{
		"": func(string) error { return nil },
		"content": func(dir string) error {
			return keepTimes(filepath.Join(dir, "d/b"), func(p string) error { return os.WriteFile(p, []byte("54321"), 0) })
		},
		"mode": func(dir string) error { return os.Chmod(filepath.Join(dir, "a2"), 0o4755) },
		"extra": func(dir string) error {
			return keepTimes(filepath.Join(dir, "d"), func(p string) error { return os.WriteFile(filepath.Join(p, "extra"), nil, 0o644) })
		},
		"absent": func(dir string) error { return os.Remove(filepath.Join(dir, "s")) },
		"xattr":  func(dir string) error { return unix.Setxattr(filepath.Join(dir, "a"), "user.x", []byte("1"), 0) },
		"opaque": func(dir string) error {
			return unix.Setxattr(filepath.Join(dir, "d"), "trusted.overlay.opaque", []byte("y"), 0)
		},
		"log": func(dir string) error { return os.Remove(filepath.Join(dir, "..", logFile)) },
	} {
		s := newStore(t, Options{})
		dirs, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // a tick of the file system's clock
		if err := change(filepath.Join(s.layerDir(layer.DiffID), filesDir)); err != nil {
			t.Fatalf("%s: %v (%v)", what, err, dirs)
		}
		for _, all := range []bool{false, true} {
			rebuilt, err := s.Check(t.Context(), layer.DiffID, all)
			if what == "" && (err != nil || rebuilt != all) || what != "" && !errors.Is(err, ErrChanged) {
				t.Errorf("%q, all=%v: rebuilt %v, %v", what, all, rebuilt, err)
			}
		}
		if left, err := os.ReadDir(filepath.Join(s.dir, stagingDir)); err != nil || len(left) > 0 {
			t.Errorf("%q: %v are left, %v", what, left, err)
		}
	}
}

// keepTimes changes a file and gives it its mtime back.
func keepTimes(path string, change func(string) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return errors.Join(change(path), os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// TestPruneLocks: the lock of a layer that is gone goes, and never from under someone who waits for it.
func TestPruneLocks(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layer := blobs.Layer(tartest.File("a", strings.Repeat("x", 9000)))
	s := newStore(t, Options{})
	if _, err := s.Ensure(t.Context(), []image.Layer{layer}, blobs); err != nil {
		t.Fatal(err)
	}
	p, err := s.Prune(t.Context(), func(digest.Digest) bool { return true })
	if locks, _ := os.ReadDir(filepath.Join(s.dir, locksDir)); err != nil || p.Bytes != 0 || len(locks) != 1 {
		t.Errorf("%+v, %v, %v", p, locks, err)
	}
	p, err = s.Prune(t.Context(), func(digest.Digest) bool { return false })
	if locks, _ := os.ReadDir(filepath.Join(s.dir, locksDir)); err != nil || p.Bytes < 9000 || len(locks) != 0 {
		t.Errorf("%+v, %v, %v", p, locks, err)
	}
	var held, ran atomic.Int32
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 200 {
				unlock, err := s.lock(t.Context(), name(layer.DiffID))
				if err != nil {
					t.Error(err)
					return
				}
				if held.Add(1) != 1 {
					t.Error("two have the lock")
				}
				ran.Add(1)
				held.Add(-1)
				unlock()
				if err := s.dropLock(name(layer.DiffID)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	if ran.Load() != 800 {
		t.Errorf("%d of 800", ran.Load())
	}
}
