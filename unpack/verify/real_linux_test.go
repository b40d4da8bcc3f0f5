package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// run runs a tool that may be missing.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// foreign verifies a directory that another tool made.
func foreign(t *testing.T, img image.Image, blobs unpack.Blobs, dir string) verify.Report {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := verify.Rootfs(t.Context(), img, f, verify.Options{Level: verify.Exact, Blobs: blobs, Foreign: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestIS_T2_others_unpack: what other tools unpack is found to be the image, but for what they are known to do otherwise.
func TestIS_T2_others_unpack(t *testing.T) {
	needRoot(t)
	t.Run("umoci", func(t *testing.T) { // nothing at all, with whiteouts, devices and capabilities
		l, tag, img := tartest.RealImage(t, "python")
		dir := filepath.Join(t.TempDir(), "bundle")
		run(t, "umoci", "unpack", "--image", string(l)+":"+tag, dir)
		if r := foreign(t, img, l, filepath.Join(dir, "rootfs")); !r.OK() {
			t.Errorf("%q, %+v", tell(r), r.Layers)
		}
	})
	t.Run("tar", func(t *testing.T) { // it knows no whiteouts, and this layer has none
		l, _, img := tartest.RealImage(t, "debian")
		dir := t.TempDir()
		for _, layer := range img.Layers() {
			run(t, "tar", "-C", dir, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore", "-pxf", filepath.Join(string(l), "blobs", "sha256", layer.Descriptor.Digest.Encoded()))
		}
		if r := foreign(t, img, l, dir); !r.OK() {
			t.Errorf("%q, %+v", tell(r), r.Layers)
		}
	})
	t.Run("podman", func(t *testing.T) { // containers/storage gives each root mode 0555 and the time at which it was made
		l, tag, img := tartest.RealImage(t, "debian")
		base, err := os.MkdirTemp("", "oci-v") // podman takes no path of more than 50 characters
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(base) })
		podman := func(args ...string) string {
			return run(t, "podman", append([]string{"--root", filepath.Join(base, "root"), "--runroot", filepath.Join(base, "run"), "--storage-driver", "vfs"}, args...)...)
		}
		link := filepath.Join(base, "image") // podman makes a name of the path, and takes no component that begins with a dot
		if err := os.Symlink(string(l), link); err != nil {
			t.Fatal(err)
		}
		id := podman("pull", "-q", "oci:"+link+":"+tag)
		dir := podman("image", "mount", id)
		r := foreign(t, img, l, dir)
		if got := tell(r); !slices.Equal(got, []string{"changed / mode,mtime"}) && !slices.Equal(got, []string{"changed / mtime"}) && len(got) > 0 {
			t.Errorf("%q, %+v", got, r.Layers)
		}
		podman("image", "umount", id)
	})
}

// TestIS_C5_real proves real images with and without logs, and by logs alone.
func TestIS_C5_real(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"debian", "python-zstd"} {
		t.Run(name, func(t *testing.T) {
			l, _, img := tartest.RealImage(t, name)
			u := unpackImage(t, img, l, unpack.Options{})
			for _, logs := range []bool{true, false} {
				r := u.check(t, verify.Exact, logs, nil)
				if !r.OK() {
					t.Errorf("logs %v: %q, %+v", logs, tell(r), r.Layers)
				}
				for _, layer := range r.Layers {
					if !layer.Rebuilt {
						t.Errorf("logs %v: layer %d was not rebuilt", logs, layer.Index)
					}
				}
			}
			u.blobs = nil
			r := u.check(t, verify.Exact, true, nil)
			for _, layer := range r.Layers {
				if layer.Rebuilt != (layer.Hidden == 0) {
					t.Errorf("without blobs: %+v", layer)
				}
			}
			if len(r.Changes) > 0 {
				t.Errorf("without blobs: %q", tell(r))
			}
		})
	}
}

// TestH33_maps: owners, ACLs and capabilities on disk are those that the maps of the record make of the image's.
func TestH33_maps(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	ids := []unpack.IDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}}
	img := imageOf(t, layers...)
	for name, o := range map[string]unpack.Options{
		"maps":      {UIDMap: ids, GIDMap: ids},
		"single id": {SingleID: true, Devices: unpack.DeviceSkip},
		"bind":      {Devices: unpack.DeviceBind},
	} {
		t.Run(name, func(t *testing.T) {
			u := unpackImage(t, img, blobs, o)
			r := u.check(t, verify.Exact, true, nil)
			if !r.OK() {
				t.Errorf("%q, %+v", tell(r), r.Layers)
			}
			if err := os.Lchown(filepath.Join(u.dir, "etc/passwd"), 7, 7); err != nil {
				t.Fatal(err)
			}
			r = u.check(t, verify.Metadata, true, nil)
			if want := !o.SingleID; r.OK() == want {
				t.Errorf("another owner: %q", tell(r))
			}
		})
	}
}

// TestIS_T2_mounts: what is mounted is told, and not looked into. Nothing but empty file systems made for this test is
// mounted, in a namespace of its own, and all of it is taken away before the directory is: to remove a directory
// removes what is mounted in it.
func TestIS_T2_mounts(t *testing.T) {
	needRoot(t)
	const inside = "OCI_TEST_MOUNTS"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("unshare", "-m", os.Args[0], "-test.run", "^TestIS_T2_mounts$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	blobs, layers := sample()
	u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
	for _, dir := range []string{"dev", "empty", "srv"} {
		path := filepath.Join(u.dir, dir)
		if err := unix.Mount("none", path, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(path, 0); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(path, "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := u.check(t, verify.Metadata, true, nil)
	if !r.OK() || !slices.Equal(r.Mounts, []string{"dev", "empty", "srv"}) {
		t.Errorf("%q, mounts %q", tell(r), r.Mounts)
	}
	if r := u.check(t, verify.Content, true, nil); !r.OK() {
		t.Errorf("content of a mounted over file comes from the blob: %q, %+v", tell(r), r.Layers)
	}
	u.blobs = nil
	if r := u.check(t, verify.Content, true, nil); r.OK() || r.Layers[2].State != verify.Unproved {
		t.Errorf("without the blob it cannot be proved: %+v", r.Layers)
	}
}
