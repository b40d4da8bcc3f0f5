package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestRootlessChild is what TestRootless runs in a user and mount namespace with one id.
func TestRootlessChild(t *testing.T) {
	base := tartest.ChildDir(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{
		blobs.Layer(tartest.File("d/a", "1"), tartest.File("d/s/b", "2"), tartest.File("c", "3")),
		blobs.Layer(tartest.Entry{Name: "d/", Type: '5', UID: 33}, tartest.File("d/n", "4"), tartest.Opaque("d"), tartest.Whiteout("c"), tartest.Link("h", "d/n")),
	}
	rootlessForms(t)
	o := unpack.Options{UserXattr: true, SingleID: true}
	s, err := Open(filepath.Join(base, "layers"), Options{Unpack: o})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := s.Ensure(t.Context(), layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	os.Mkdir(upper, 0o755)
	os.Mkdir(work, 0o755)
	f, err := Mount(t.Context(), MountOptions{Layers: dirs, Upper: upper, Work: work, UserXattr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := tartest.TreeOf(f)
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(base, "plain")
	if _, err := unpack.Unpack(t.Context(), layers, blobs, plain, unpack.Options{SingleID: true}); err != nil {
		t.Fatal(err)
	}
	want, err := tartest.Tree(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range tartest.Diff(got, want) {
		t.Error("overlay against merged: " + line)
	}
	dir := filepath.Join(base, "attached")
	os.Mkdir(dir, 0o755)
	if err := Attach(f, dir); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d", "new"), nil, 0o600); err != nil {
		t.Error(err)
	}
}

// rootlessForms compares overlay, copy and merged form of layers that overlayfs must not misread and of generated ones, as
// a user with one id has them.
func rootlessForms(t *testing.T) {
	t.Helper()
	o := unpack.Options{UserXattr: true, SingleID: true, Devices: unpack.DeviceSkip}
	same := func(what string, layers []image.Layer, blobs unpack.Blobs) {
		dir := filepath.Join(t.TempDir(), "merged")
		if _, err := unpack.Unpack(t.Context(), layers, blobs, dir, unpack.Options{SingleID: true, Devices: unpack.DeviceSkip}); err != nil {
			if !errors.Is(err, unpack.ErrLink) { // what TestIS_T6_H25_random lets pass too
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		want, err := tartest.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := newStore(t, Options{Unpack: o, Jobs: 4}).Ensure(t.Context(), layers, blobs)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, line := range tartest.Diff(mountedAs(t, dirs, true), want) {
			t.Errorf("%s: overlay against merged: %s", what, line)
		}
		for _, line := range tartest.Diff(copied(t, CopyOptions{Layers: dirs}), want) {
			t.Errorf("%s: copy against merged: %s", what, line)
		}
	}
	layers, blobs := claims()
	same("H-26", layers, blobs)
	for seed := range 20 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 25))
		blobs := tartest.Blobs{}
		layers := []image.Layer{blobs.Layer(randomEntries(rnd)...), blobs.Layer(randomEntries(rnd)...), blobs.Layer(randomEntries(rnd)...)}
		same(fmt.Sprint("H-25, seed ", seed), layers, blobs)
	}
	if os.Getenv("OCI_TEST_IMAGES") != "" {
		l, _, img := tartest.RealImage(t, "busybox")
		same("busybox", img.Layers(), l)
	}
}

// TestRootless unpacks and mounts without privileges (H-25, H-26).
func TestRootless(t *testing.T) {
	needRoot(t)
	tartest.RunChild(t, "TestRootlessChild", 65534, mountUserns())
}

// mountUserns is a new user namespace with one id, in which there can be mounts.
func mountUserns() *syscall.SysProcAttr {
	attr := tartest.Userns(65534, 1)
	attr.Cloneflags |= syscall.CLONE_NEWNS
	return attr
}
