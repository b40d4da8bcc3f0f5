package unpack_test

import (
	"bytes"
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

// A tarWriter is a program that writes tars, and what its format can say of a file.
type tarWriter struct {
	name   string
	argv   []string // writes a tar of the working directory to its standard output
	nanos  bool     // times in nanoseconds
	far    bool     // times before 1970 and after 2242
	long   bool     // paths over 256 bytes, ids over 2^21
	xattrs bool
	acls   bool
	sparse bool // holes are left out
	odd    bool // names that are not UTF-8
}

const everything = "."

func tarWriters() []tarWriter {
	gnu := func(args ...string) []string {
		return append(append([]string{"tar", "--numeric-owner", "--sort=name"}, args...), "-cf", "-", everything)
	}
	bsd := func(args ...string) []string {
		return append(append([]string{"bsdtar"}, args...), "-cf", "-", everything)
	}
	return []tarWriter{
		{name: "GNU tar, pax", argv: gnu("--format=posix", "--xattrs", "--xattrs-include=*", "--acls"), nanos: true, far: true, long: true, xattrs: true, acls: true, odd: true},
		{name: "GNU tar, pax sparse 0.0", argv: gnu("--format=posix", "-S", "--sparse-version=0.0"), nanos: true, far: true, long: true, sparse: true, odd: true},
		{name: "GNU tar, pax sparse 0.1", argv: gnu("--format=posix", "-S", "--sparse-version=0.1"), nanos: true, far: true, long: true, sparse: true, odd: true},
		{name: "GNU tar, pax sparse 1.0", argv: gnu("--format=posix", "-S", "--sparse-version=1.0"), nanos: true, far: true, long: true, sparse: true, odd: true},
		{name: "GNU tar, gnu", argv: gnu("--format=gnu"), far: true, long: true, odd: true},
		{name: "GNU tar, gnu sparse", argv: gnu("--format=gnu", "-S"), far: true, long: true, sparse: true, odd: true},
		{name: "GNU tar, oldgnu sparse", argv: gnu("--format=oldgnu", "-S"), far: true, long: true, sparse: true, odd: true},
		{name: "GNU tar, ustar", argv: gnu("--format=ustar"), odd: true},
		{name: "GNU tar, v7", argv: gnu("--format=v7"), odd: true},
		{name: "bsdtar, pax", argv: bsd("--format", "pax", "--xattrs", "--acls"), nanos: true, far: true, long: true, xattrs: true, acls: true, sparse: true, odd: true},
		{name: "bsdtar, restricted pax", argv: bsd(), far: true, long: true, sparse: true, odd: true},
		{name: "bsdtar, gnutar", argv: bsd("--format", "gnutar"), long: true, odd: true},
		{name: "bsdtar, ustar", argv: bsd("--format", "ustar"), odd: true},
		{name: "python, pax", argv: []string{"python3", "-c", pythonTar, "PAX_FORMAT"}, far: true, long: true, odd: true},
		{name: "python, gnu", argv: []string{"python3", "-c", pythonTar, "GNU_FORMAT"}, far: true, long: true, odd: true},
		{name: "python, ustar", argv: []string{"python3", "-c", pythonTar, "USTAR_FORMAT"}, odd: true},
		{name: "busybox", argv: []string{"busybox", "tar", "-cf", "-", everything}, odd: true},
	}
}

const pythonTar = `import sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=getattr(tarfile, sys.argv[1]), errors="surrogateescape")
t.add(".")
t.close()`

// makeSource makes a tree with all that a tar can hold, as far as the format of w can say it.
func makeSource(t *testing.T, w tarWriter) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("long", 22) // 88 bytes: two of them are a prefix and a name of ustar
	write := func(name, body string, mode uint32) {
		try(os.MkdirAll(filepath.Dir(at(name)), 0o755))
		try(os.WriteFile(at(name), []byte(body), 0o600))
		try(unix.Chmod(at(name), mode))
	}
	v7 := strings.HasSuffix(w.name, "v7")
	write("empty", "", 0o644)
	write("d/file", strings.Repeat("content\n", 3000), 0o640)
	write("d/suid", "x", 0o4755)
	write("d/sgid", "x", 0o2711)
	write("none", "x", 0)
	write("d/-dash", "x", 0o644)
	write("d/new\nline", "x", 0o644)
	write("d/é ü", "x", 0o644)
	try(os.Link(at("d/file"), at("hard")))
	try(os.Symlink("d/file", at("sym")))
	if !strings.HasPrefix(w.name, "python") { // it writes such a one as two
		try(os.Link(at("sym"), at("hardsym")))
	}
	try(os.Symlink("../../outside/"+strings.Repeat("x", 40), at("d/out")))
	try(unix.Mkdir(at("sticky"), 0o755))
	try(unix.Chmod(at("sticky"), 0o1777))
	if !v7 {
		write(long+"/"+long, "x", 0o644)
		try(unix.Mkfifo(at("fifo"), 0o620))
		try(unix.Mknod(at("char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		try(unix.Mknod(at("block"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 17))))
	}
	if w.odd {
		write("d/\xff\xfe", "x", 0o644)
	}
	if w.long {
		write("deep/"+strings.Repeat(long+"/", 8)+"file", "x", 0o644)
		try(os.Symlink(strings.Repeat("target/", 30), at("d/longlink")))
		write("big", "x", 0o644)
		try(os.Lchown(at("big"), 3000000000, 4294967294))
	}
	f, err := os.Create(at("holes"))
	try(err)
	for _, off := range []int64{1 << 20, 3 << 20, 5 << 20, 7 << 20, 9 << 20, 11 << 20, 13 << 20} { // more than a header of old GNU holds
		_, err = f.WriteAt(bytes.Repeat([]byte("data"), 1024), off)
		try(err)
	}
	try(f.Truncate(16 << 20))
	try(f.Close())
	if w.xattrs {
		try(unix.Setxattr(at("d/file"), "user.binary", []byte("\x00\xff=\n"), 0))
		try(unix.Setxattr(at("d"), "user.dir", []byte("dir"), 0))
		try(unix.Setxattr(at("d/suid"), "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	}
	if w.acls {
		acl := func(xattr, name string, ids ...byte) {
			try(unix.Setxattr(at(name), xattr, []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x05\x00\xe8\x03\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff\x08\x00\x04\x00\x2a\x00\x00\x00\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x01\x00\xff\xff\xff\xff"), 0))
		}
		acl("system.posix_acl_access", "d/file")
		acl("system.posix_acl_default", "d")
		acl("system.posix_acl_access", "sticky")
	}
	stampSource(t, dir, w)
	return dir
}

// stampSource gives owners and times, as the last thing.
func stampSource(t *testing.T, dir string, w tarWriter) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		paths = append(paths, p)
		return err
	})
	for i := len(paths) - 1; i >= 0 && err == nil; i-- {
		ts := unix.Timespec{Sec: int64(1600000000 + i)}
		if w.nanos {
			ts.Nsec = int64(123456789 - i)
		}
		if w.far && filepath.Base(paths[i]) == "empty" {
			ts = unix.Timespec{Sec: -86400*365 + 1}
		}
		if w.far && filepath.Base(paths[i]) == "none" {
			ts.Sec = 9000000000
		}
		err = unix.UtimesNanoAt(unix.AT_FDCWD, paths[i], []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestIS_T2_H43_H45_writers: what programs write of a tree comes back as that tree, with all that their format says; and the
// tar can be made again from files and log.
func TestIS_T2_H43_H45_writers(t *testing.T) {
	needRoot(t)
	for _, w := range tarWriters() {
		t.Run(strings.ReplaceAll(w.name, " ", "_"), func(t *testing.T) {
			if _, err := exec.LookPath(w.argv[0]); err != nil {
				t.Skipf("%s is not installed", w.argv[0])
			}
			source := makeSource(t, w)
			cmd := exec.Command(w.argv[0], w.argv[1:]...)
			cmd.Dir = source
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PYTHONUTF8=1")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			raw, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			blobs := tartest.Blobs{}
			layer := blobs.Tar(raw)
			target := filepath.Join(t.TempDir(), "r")
			if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, target, unpack.Options{}); err != nil {
				t.Fatal(err)
			}
			sameTrees(t, tree(t, target), tree(t, source))
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(target, "holes"), &st); err != nil || w.sparse && st.Blocks*512 > 1<<20 {
				t.Errorf("%d bytes on disk, %v", st.Blocks*512, err)
			}
			if w.sparse && len(raw) > 8<<20 {
				t.Errorf("the tar has no holes: %d bytes", len(raw))
			}
			rebuilds(t, blobs, layer)
		})
	}
}
