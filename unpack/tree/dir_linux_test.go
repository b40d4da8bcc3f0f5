package tree_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

func readDir(tb testing.TB, dir string, o tree.DirOptions) (*tree.Tree, error) {
	tb.Helper()
	f, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return tree.OfDir(tb.Context(), f, o)
}

// TestOfDir reads a directory of all kinds of files as other code of this project, which was written before, does.
func TestOfDir(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "d/\xff\n\x1b"), 0o700), os.WriteFile(filepath.Join(dir, "d/f"), []byte("text"), 0o600),
		os.Link(filepath.Join(dir, "d/f"), filepath.Join(dir, "a")), os.Symlink("/nowhere", filepath.Join(dir, "d/l")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600), unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(filepath.Join(dir, "blk"), unix.S_IFBLK|0o6, int(unix.Mkdev(250, 300))), unix.Mknod(filepath.Join(dir, "sock"), unix.S_IFSOCK|0o600, 0),
		unix.Setxattr(filepath.Join(dir, "d"), "trusted.t", []byte{0, 1}, 0), unix.Setxattr(filepath.Join(dir, "d/f"), "user.u", nil, 0),
		unix.Setxattr(filepath.Join(dir, "d"), "trusted.overlay.opaque", []byte("y"), 0), unix.Lchown(filepath.Join(dir, "d/l"), 5, 6),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := tartest.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := ofDir(t, dir)
	nodes := map[string]tartest.Node{}
	first := map[*tree.Node]string{}
	kinds := map[unpack.Kind]string{
		unpack.Regular: "file", unpack.Directory: "dir", unpack.Symlink: "link", unpack.CharDevice: "char", unpack.BlockDevice: "block", unpack.FIFO: "fifo", unpack.Socket: "sock",
	}
	_ = got.Walk(func(path string, n *tree.Node) error {
		m := tartest.Node{Type: kinds[n.Kind], Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size, Target: n.Link, Sum: strings.TrimPrefix(n.Digest.String(), "sha256:")}
		if n.Kind == unpack.CharDevice || n.Kind == unpack.BlockDevice {
			m.Rdev = unix.Mkdev(n.Major, n.Minor)
		}
		m.Xattrs = map[string]string{}
		for _, x := range n.Xattrs {
			m.Xattrs[x.Name] = x.Value
		}
		if n.Names > 1 {
			if first[n] == "" {
				first[n] = path
			}
			m.Link = first[n]
		}
		if path == "" {
			path = "."
		}
		m.Mtime = want[path].Mtime // of another form; Diff compares it elsewhere
		nodes[path] = m
		return nil
	})
	if diff := tartest.Diff(nodes, want); len(diff) > 0 {
		t.Error(strings.Join(diff, "\n"))
	}
}

// TestOfDirOwners gives the owners of the image, whatever the disk has.
func TestOfDirOwners(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mapped, single := filepath.Join(dir, "mapped"), filepath.Join(dir, "single")
	if err := errors.Join(
		os.WriteFile(mapped, nil, 0o600), os.Chown(mapped, 100005, 200006), os.WriteFile(single, nil, 0o600),
		unix.Setxattr(single, unpack.OwnerXattr, []byte(unpack.EncodeOwner(7, 8)), 0),
	); err != nil {
		t.Fatal(err)
	}
	got, err := readDir(t, dir, tree.DirOptions{UIDMap: []unpack.IDMap{{HostID: 100000, Size: 10}}, GIDMap: []unpack.IDMap{{ContainerID: 1, HostID: 200000, Size: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Lookup("mapped"); n.UID != 5 || n.GID != 7 {
		t.Errorf("%d:%d", n.UID, n.GID)
	}
	if n := got.Lookup("single"); n.UID != 0 {
		t.Errorf("%+v", n)
	}
	if got, err = readDir(t, dir, tree.DirOptions{SingleID: true}); err != nil {
		t.Fatal(err)
	}
	if n := got.Lookup("single"); n.UID != 7 || n.GID != 8 || len(n.Xattrs) != 0 {
		t.Errorf("%+v", n)
	}
	if n := got.Lookup("mapped"); n.UID != 0 || n.GID != 0 {
		t.Errorf("%+v", n)
	}
}

// TestOfDirMapped: ids in capabilities and ACLs are mapped back as owners are.
func TestOfDirMapped(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	const rev2 = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	acl := func(uid, high byte) string { // owner, user, group, mask, other
		return "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00" + string([]byte{uid, high, 1, 0}) +
			"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	}
	rev3 := rev2[:3] + "\x03" + rev2[4:] + "\x00\x00\x01\x00" // of the user namespace whose root is 65536
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(file, "system.posix_acl_access", []byte(acl(7, 0)), 0); err != nil {
		t.Skipf("no ACLs here: %v", err)
	}
	if err := unix.Setxattr(file, "security.capability", []byte(rev3), 0); err != nil {
		t.Fatal(err)
	}
	got, err := readDir(t, dir, tree.DirOptions{UIDMap: []unpack.IDMap{{HostID: 65536, Size: 65536}}, GIDMap: []unpack.IDMap{{HostID: 65536, Size: 65536}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []unpack.Xattr{
		{Name: "security.capability", Value: rev2},
		{Name: "system.posix_acl_access", Value: acl(7, 0)[:16] + "\x07\x00\x00\x00" + acl(7, 0)[20:]},
	}
	if n := got.Lookup("f"); !slices.Equal(n.Xattrs, want) {
		t.Errorf("%q, want %q", n.Xattrs, want)
	}
}

// TestOfDirRace: who changes a file for a FIFO at the right moment does not get the FIFO opened.
func TestOfDirRace(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := errors.Join(os.WriteFile(file, []byte("content"), 0o600), unix.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Open(fifo, unix.O_PATH, 0) // the FIFO, whatever its name is
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	self := "/proc/self/fd/" + strconv.Itoa(other)
	opened := make(chan struct{})
	go func() { // waits, as fifo(7) says, until somebody opens it for reading
		defer close(opened)
		if fd, err := unix.Open(self, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(fd)
		}
	}()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, fifo, unix.RENAME_EXCHANGE)
			}
		}
	})
	for range 3000 {
		_, _ = readDir(t, dir, tree.DirOptions{Content: true}) // may say that the tree changes
	}
	close(stop)
	wg.Wait()
	select {
	case <-opened:
		t.Error("the FIFO was opened for reading")
	default:
		fd, err := unix.Open(self, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		<-opened
		unix.Close(fd)
	}
}

// TestOfDirMounts: what is mounted is not looked into, a bind mount of the same file system included, and said.
func TestOfDirMounts(t *testing.T) {
	needRoot(t)
	done := make(chan struct{})
	go func() { // its thread has mounts of its own, and ends with it
		defer close(done)
		goruntime.LockOSThread()
		if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
			t.Errorf("mount namespace: %v", err)
			return
		}
		dir := t.TempDir()
		for _, name := range []string{"tmpfs", "bind", "source/inner"} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(
			unix.Mount("tmpfs", filepath.Join(dir, "tmpfs"), "tmpfs", 0, ""),
			unix.Mount(filepath.Join(dir, "source"), filepath.Join(dir, "bind"), "", unix.MS_BIND, ""),
			os.WriteFile(filepath.Join(dir, "tmpfs/in"), nil, 0o600),
			os.WriteFile(filepath.Join(dir, "theirs"), []byte("theirs"), 0o600), os.WriteFile(filepath.Join(dir, "file"), nil, 0o600),
			unix.Mount(filepath.Join(dir, "theirs"), filepath.Join(dir, "file"), "", unix.MS_BIND, ""),
		); err != nil {
			t.Error(err)
			return
		}
		var log bytes.Buffer
		got, err := readDir(t, dir, tree.DirOptions{Content: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Error(err)
			return
		}
		if got.Lookup("tmpfs/in") != nil || got.Lookup("bind/inner") != nil || got.Lookup("source/inner") == nil || strings.Count(log.String(), "not looked into") != 3 {
			t.Errorf("%d paths\n%s", got.Len(), log.String())
		}
		if n := got.Lookup("file"); !n.Mount || n.Digest != "" {
			t.Errorf("a mounted file is taken for one of the tree: %+v", n)
		}
	}()
	<-done
}

// TestOfDirEnds: too many paths, and a context that has ended.
func TestOfDirEnds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readDir(t, dir, tree.DirOptions{Entries: 3}); !errors.Is(err, unpack.ErrLimit) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.OfDir(ctx, f, tree.DirOptions{Content: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
