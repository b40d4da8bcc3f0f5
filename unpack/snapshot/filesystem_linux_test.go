package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// envElsewhere names the test that this process was started for.
const envElsewhere = "OCI_TEST_ELSEWHERE"

// elsewhere runs the test once more in a process with a mount namespace of its own, where it tells so: what is
// mounted there is gone with the process. System calls are refused there as on other kernels.
func elsewhere(t *testing.T, refusals ...tartest.Refusal) (there bool) {
	t.Helper()
	needRoot(t)
	if os.Getenv(envElsewhere) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	run := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.Command("/proc/self/exe", "-test.run="+run, "-test.v", "-test.timeout=250s")
	cmd.Env = append(os.Environ(), envElsewhere+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := tartest.RunWithout(cmd, refusals...)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Skipf("no filter for this machine: %v", err)
	case err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) && !strings.Contains(out.String(), "--- SKIP: "+t.Name()):
		t.Errorf("%v\n%s", err, out.String())
	case strings.Contains(out.String(), "--- SKIP: "+t.Name()):
		t.Skip(out.String())
	}
	return false
}

// mountNew mounts a new file system of a kind in this process's mount namespace.
func mountNew(t *testing.T, kind, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), kind)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if kind == "tmpfs" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	mkfs, err := exec.LookPath("mkfs." + kind)
	if err != nil {
		t.Skipf("needs mkfs.%s", kind)
	}
	file := dir + ".img"
	for _, args := range [][]string{{"truncate", "-s", size, file}, {mkfs, "-q", file}, {"mount", "-o", "loop", file, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no %s here: %q: %v: %s", kind, args, err, out)
		}
	}
	return dir
}

// hazards are layers with all that a file can be.
func hazards() ([]image.Layer, tartest.Blobs) {
	blobs := tartest.Blobs{}
	noise := make([]byte, 3<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(noise)
	acl := "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x06\x00\x05\x00\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"
	capability := "\x01\x00\x00\x02\x01\x00\x00\x00" + strings.Repeat("\x00", 12)
	sparse := strings.Repeat("\x00", 1<<20) + "data" + strings.Repeat("\x00", 1<<20)
	return []image.Layer{
		blobs.Layer(
			tartest.Entry{Name: "./", Type: '5', Mode: 0o751, UID: 1, GID: 2, Mtime: 3},
			tartest.File("noise", string(noise)), tartest.File("small", "x"), tartest.File("empty", ""),
			tartest.Entry{Name: "mode", Mode: 0o6751, UID: 3, GID: 4, Mtime: -5},
			tartest.Entry{Name: "cap", Mode: 0o755, Body: "c", PAX: map[string]string{"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.x": "1\x002"}},
			tartest.Entry{Name: "acl", Mode: 0o775, Body: "a", PAX: map[string]string{"SCHILY.xattr.system.posix_acl_access": acl}},
			tartest.Entry{Name: "dir/", Type: '5', Mode: 0o2775, GID: 7, Mtime: 8, PAX: map[string]string{"SCHILY.xattr.system.posix_acl_default": acl}},
			tartest.File("dir/in", "in"), tartest.Link("dir/again", "noise"), tartest.Link("one", "noise"),
			tartest.Symlink("sym", "nowhere/\xff"), tartest.Symlink("symlink", "sym"), tartest.Link("symhard", "sym"),
			tartest.Entry{Name: "null", Type: '3', Mode: 0o622, UID: 9, Major: 1, Minor: 3, Mtime: 10},
			tartest.Entry{Name: "disk", Type: '4', Mode: 0o660, GID: 6, Major: 8, Minor: 1}, tartest.Link("disk2", "disk"),
			tartest.Entry{Name: "fifo", Type: '6', Mode: 0o666},
			tartest.Entry{Name: "gnu", Body: sparse, PAX: map[string]string{"mtime": "12.123456789"}},
			tartest.File("gone", "x"), tartest.File("tree/a/b/c", "x"), tartest.File("hidden/x", "x"), tartest.File("hidden/y", "y"),
		),
		blobs.Layer(
			tartest.Whiteout("gone"), tartest.Opaque("hidden"), tartest.File("hidden/z", "z"), tartest.File("tree/a", "a file now"),
			tartest.Link("late", "disk"), tartest.Link("late-fifo", "fifo"), tartest.File("dir/sub/new", "n"),
		),
	}, blobs
}

// sparsen makes holes of the zeros in a file of a layer, as a tar that says where they are would have.
func sparsen(t *testing.T, dirs []string, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dirs[0], name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20)
	}
	if err = errors.Join(err, os.Chtimes(f.Name(), info.ModTime(), info.ModTime())); err != nil {
		t.Skipf("no holes here: %v", err)
	}
}

// free is what a file system has left, once it has written everything.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := errors.Join(unix.Syncfs(int(f.Fd())), unix.Fstatfs(int(f.Fd()), &st)); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bfree) * st.Bsize
}

// TestFileSystems keeps layers on the file systems that people have, mounts them with the changes there and
// elsewhere, and copies them: shared where the file system can, and within and across file systems.
func TestFileSystems(t *testing.T) {
	for kind, shares := range map[string]bool{"ext4": false, "xfs": true, "btrfs": true, "tmpfs": false} {
		t.Run(kind, func(t *testing.T) {
			if !elsewhere(t) {
				return
			}
			fs, other := mountNew(t, kind, "400M"), mountNew(t, "tmpfs", "100M")
			layers, blobs := hazards()
			s, err := Open(filepath.Join(fs, "layers"), Options{Sync: true})
			if err != nil {
				t.Fatal(err)
			}
			dirs, err := s.Ensure(t.Context(), layers, blobs)
			if err != nil {
				t.Fatal(err)
			}
			sparsen(t, dirs, "gnu")
			want := mounted(t, dirs)
			same := func(what string, got map[string]tartest.Node) {
				for _, line := range tartest.Diff(got, want) {
					t.Errorf("%s: %s", what, line)
				}
			}
			same("merged", merged(t, layers, blobs))
			for what, o := range map[string]CopyOptions{"shared": {Layers: dirs}, "copied": {Layers: dirs, Unshared: true}} {
				before := free(t, fs)
				dir := filepath.Join(fs, what)
				res, err := Copy(t.Context(), dir, o)
				if err != nil {
					t.Fatal(err)
				}
				used := before - free(t, fs)
				t.Logf("%s %s: %+v, %d bytes on disk", kind, what, res, used)
				if wantShared := shares && what == "shared"; wantShared != (res.Shared > 3<<20) || wantShared != (used < 1<<20) || wantShared != (res.Copied == 0) {
					t.Errorf("%s: %+v, %d bytes on disk", what, res, used)
				}
				same(what, treeOf(t, dir))
				var st unix.Stat_t
				if err := unix.Lstat(filepath.Join(dir, "gnu"), &st); err != nil || st.Blocks*512 > 3<<19 {
					t.Errorf("%s: the sparse file takes %d bytes of %d, %v", what, st.Blocks*512, st.Size, err)
				}
			}
			if _, err := Copy(t.Context(), filepath.Join(other, "across"), CopyOptions{Layers: dirs}); err != nil {
				t.Fatal(err)
			}
			same("across", treeOf(t, filepath.Join(other, "across")))
			writeOver(t, fs, dirs)
			if kind != "tmpfs" { // a remount of it would be read-only as well, and says less
				if err := unix.Mount("", fs, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
					t.Fatal(err)
				}
				if again, err := s.Ensure(t.Context(), layers, tartest.Blobs{}); err != nil || len(again) != len(dirs) {
					t.Errorf("read-only: %v, %v", again, err)
				}
			}
			writeOver(t, other, dirs)
			same("after", mounted(t, dirs))
		})
	}
}

func treeOf(t *testing.T, dir string) map[string]tartest.Node {
	t.Helper()
	nodes, err := tartest.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

// writeOver changes files through a mount whose upper directory is below base, with and without id maps.
func writeOver(t *testing.T, base string, dirs []string) {
	t.Helper()
	for _, maps := range [][]unpack.IDMap{nil, {{HostID: 100000, Size: 65536}}} {
		o := MountOptions{Layers: dirs, Upper: filepath.Join(base, fmt.Sprint("upper", len(maps))), Work: filepath.Join(base, fmt.Sprint("work", len(maps))), UIDMap: maps, GIDMap: maps}
		if err := errors.Join(os.Mkdir(o.Upper, 0o755), os.Mkdir(o.Work, 0o755)); err != nil {
			t.Fatal(err)
		}
		f, err := Mount(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		for _, name := range []string{"small", "dir/in", "dir/new", "cap"} {
			fd, err := unix.Openat(int(f.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
			if err == nil {
				_, err = unix.Write(fd, []byte("more"))
				unix.Close(fd)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", base, name, err)
			}
		}
		var st unix.Stat_t
		if err := unix.Fstatat(int(f.Fd()), "dir/in", &st, 0); err != nil || maps != nil && st.Uid != 100000 || st.Size != 6 {
			t.Errorf("%s: dir/in belongs to %d, has %d bytes, %v", base, st.Uid, st.Size, err)
		}
		f.Close()
	}
}

// TestCopyWithout copies where the calls that share or copy in the kernel are refused.
func TestCopyWithout(t *testing.T) {
	const ficlone = 0x9409 // the low half: type and number of FICLONE
	for name, refusals := range map[string][]tartest.Refusal{
		"clone":             {{Call: unix.SYS_IOCTL, Errno: unix.EPERM, Arg: 1, Mask: ficlone}},
		"copy_file_range":   {{Call: unix.SYS_IOCTL, Errno: unix.EOPNOTSUPP, Arg: 1, Mask: ficlone}, {Call: unix.SYS_COPY_FILE_RANGE, Errno: unix.ENOSYS}},
		"across one system": {{Call: unix.SYS_IOCTL, Errno: unix.EXDEV, Arg: 1, Mask: ficlone}, {Call: unix.SYS_COPY_FILE_RANGE, Errno: unix.EXDEV}},
	} {
		t.Run(name, func(t *testing.T) {
			if !elsewhere(t, refusals...) {
				return
			}
			layers, blobs := hazards()
			dirs, err := newStore(t, Options{}).Ensure(t.Context(), layers, blobs)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tartest.Diff(copied(t, CopyOptions{Layers: dirs}), merged(t, layers, blobs)) {
				t.Error(line)
			}
		})
	}
}

// TestMountWithout: where a mount is refused by the kernel or a filter, the error says that a copy can serve.
func TestMountWithout(t *testing.T) {
	for name, refusals := range map[string][]tartest.Refusal{
		"fsopen EPERM":  {{Call: unix.SYS_FSOPEN, Errno: unix.EPERM}},
		"fsopen ENODEV": {{Call: unix.SYS_FSOPEN, Errno: unix.ENODEV}},
		"all ENOSYS":    {{Call: unix.SYS_FSOPEN, Errno: unix.ENOSYS}, {Call: unix.SYS_MOUNT, Errno: unix.EPERM}},
		"fsmount":       {{Call: unix.SYS_FSMOUNT, Errno: unix.EACCES}},
		"idmap":         {{Call: unix.SYS_MOUNT_SETATTR, Errno: unix.ENOSYS}},
	} {
		t.Run(name, func(t *testing.T) {
			needRoot(t)
			if os.Getenv(envElsewhere) != t.Name() { // there is no mount to be kept apart, and it could not be made
				elsewhere(t, refusals...)
				return
			}
			layers, blobs := hazards()
			dirs, err := newStore(t, Options{}).Ensure(t.Context(), layers, blobs)
			if err != nil {
				t.Fatal(err)
			}
			o := MountOptions{Layers: dirs, ReadOnly: true}
			if name == "idmap" {
				o.UIDMap = []unpack.IDMap{{HostID: 1, Size: 9}}
				o.GIDMap = o.UIDMap
			}
			if _, err := Mount(t.Context(), o); !errors.Is(err, ErrOverlay) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestCopyMapped gives a copy to the ids of a user namespace; capabilities and ACLs go with it.
func TestCopyMapped(t *testing.T) {
	needRoot(t)
	layers, blobs := hazards()
	dirs, err := newStore(t, Options{}).Ensure(t.Context(), layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	want := mounted(t, dirs)
	o := CopyOptions{Layers: dirs, UIDMap: []unpack.IDMap{{HostID: 100000, Size: 65536}}, GIDMap: []unpack.IDMap{{HostID: 200000, Size: 65536}}}
	got := copied(t, o)
	for path, w := range want {
		w.UID, w.GID = w.UID+100000, w.GID+200000
		switch path {
		case "cap": // revision 3, for the root 100000
			w.Xattrs["security.capability"] = "\x01\x00\x00\x03\x01\x00\x00\x00" + strings.Repeat("\x00", 12) + "\xa0\x86\x01\x00"
		case "acl", "dir":
			for k, v := range w.Xattrs {
				w.Xattrs[k] = strings.Replace(v, "\x02\x00\x06\x00\x05\x00\x00\x00", "\x02\x00\x06\x00\xa5\x86\x01\x00", 1)
			}
		}
		if g := got[path]; g.String() != w.String() {
			t.Errorf("%q\n got  %s\n want %s", path, g, w)
		}
	}
	// The same through idmapped mounts: what the container's root sees of both is the same.
	f, err := Mount(t.Context(), MountOptions{Layers: dirs, ReadOnly: true, UIDMap: o.UIDMap, GIDMap: o.GIDMap})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	nodes, err := tartest.TreeOf(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range tartest.Diff(nodes, got) {
		t.Error("idmapped against copied: " + line)
	}
	o.UIDMap = []unpack.IDMap{{HostID: 100000, Size: 3}}
	dir := filepath.Join(t.TempDir(), "narrow")
	if _, err := Copy(t.Context(), dir, o); !errors.Is(err, unpack.ErrOwner) {
		t.Errorf("an owner outside of the map: %v", err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// TestCopyErrors: a copy that fails leaves what was there; a full disk is named as such.
func TestCopyErrors(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	layers, blobs := hazards()
	dirs, err := newStore(t, Options{}).Ensure(t.Context(), layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	small := mountNew(t, "tmpfs", "2M")
	there := filepath.Join(small, "there")
	os.Mkdir(there, 0o700)
	for _, dir := range []string{there, filepath.Join(small, "new")} {
		var e *Error
		if _, err := Copy(t.Context(), dir, CopyOptions{Layers: dirs}); !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &e) {
			t.Errorf("a full disk: %v", err)
		}
	}
	if left, err := os.ReadDir(small); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if left, err := os.ReadDir(there); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	os.Mkdir(filepath.Join(there, "full"), 0o700)
	if _, err := Copy(t.Context(), there, CopyOptions{Layers: dirs}); !errors.Is(err, unpack.ErrNotEmpty) {
		t.Errorf("a directory with something in it: %v", err)
	}
	if _, err := Copy(t.Context(), filepath.Join(small, "x"), CopyOptions{Layers: []string{"/nowhere"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no layer: %v", err)
	}
}
