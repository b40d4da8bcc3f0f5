package blackbox_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree describes every file below a directory: kind, mode, owner, time, contents, links, device and
// extended attributes.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	links := map[uint64]string{} // inode: the first name of it
	check(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		d := fmt.Sprintf("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			d += " -> " + to
		case unix.S_IFREG:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			d += fmt.Sprintf(" %d bytes %x", len(raw), sha256.Sum256(raw))
		case unix.S_IFCHR, unix.S_IFBLK:
			d += fmt.Sprintf(" device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if links[st.Ino] == "" {
				links[st.Ino] = name
			}
			d += fmt.Sprintf(" %d names, first %s", st.Nlink, links[st.Ino])
		}
		d += fmt.Sprintf(" time %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		all[name] = d + attributes(path)
		return nil
	}))
	return all
}

func attributes(path string) string {
	buf := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, buf)
	if err != nil || n == 0 {
		return ""
	}
	list := strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00")
	sort.Strings(list)
	var s strings.Builder
	for _, name := range list {
		if n, err = unix.Lgetxattr(path, name, buf); err == nil {
			fmt.Fprintf(&s, " %s=%x", name, buf[:n])
		}
	}
	return s.String()
}

// same compares two trees and reports the first differences. The time of the root itself is no layer's.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	delete(got, "")
	delete(want, "")
	var paths []string
	for p := range want {
		paths = append(paths, p)
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	bad := 0
	for _, p := range paths {
		if got[p] == want[p] {
			continue
		}
		if bad++; bad <= 15 {
			t.Errorf("%s: %q\n got %s\nwant %s", what, p, got[p], want[p])
		}
	}
	if bad > 15 {
		t.Errorf("%s: %d files differ of %d", what, bad, len(paths))
	}
}

// One image unpacked by this project and by umoci gives one tree, and its three compressions too.
func TestUnpack_agrees_with_umoci(t *testing.T) {
	t.Parallel()
	needRoot(t)
	needTools(t, "umoci")
	s := newSandbox(t)
	reference := filepath.Join(s.dir, "umoci")
	command(t, "umoci", "unpack", "--image", layout(t, "python")+":latest", reference)
	want := tree(t, filepath.Join(reference, "rootfs"))
	if len(want) < 1000 {
		t.Fatalf("umoci unpacked %d files", len(want))
	}
	for _, image := range []string{"python", "python-zstd", "python-plain"} {
		dir := filepath.Join(s.dir, image)
		s.ok(t, "unpack", "oci:"+layout(t, image)+":latest", dir)
		same(t, image, tree(t, dir), maps.Clone(want))
	}
	s.clean(t)
}

// What a container sees of the overlay is what unpack writes.
func TestUnpack_agrees_with_run(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "python-bare")
	dir := filepath.Join(s.dir, "rootfs")
	s.ok(t, "pull", ref)
	s.ok(t, "unpack", ref, dir)
	const list = `find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o \( -type f -o -type l -o -type d \) -printf '%P %y %m %U:%G %T@ %l\n' | sort`
	inside := s.ok(t, "run", "--rm", "--user", "0", ref, "sh", "-c", list)
	outside := command(t, "sh", "-c", strings.Replace(list, "find /", "cd "+dir+" && find .", 1))
	onlyIn(t, "the container", strings.Split(inside, "\n"), strings.Split(outside, "\n"))
	onlyIn(t, "the rootfs", strings.Split(outside, "\n"), strings.Split(inside, "\n"))
}

// onlyIn reports the first lines of a that b, which is sorted, lacks.
func onlyIn(t *testing.T, what string, a, b []string) {
	t.Helper()
	bad := 0
	for _, line := range a {
		if _, found := slices.BinarySearch(b, line); found || ownPlace(line) {
			continue
		}
		if bad++; bad <= 10 {
			t.Errorf("only in %s: %s", what, line)
		}
	}
}

// ownPlace tells the places that a container has of its own: the root, mount points, volumes and the files that name it.
func ownPlace(line string) bool {
	name, _, _ := strings.Cut(line, " ")
	return strings.HasPrefix(name, "dev/") ||
		slices.Contains([]string{"", "proc", "sys", "dev", "srv", "srv/data", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"}, name)
}

// unpack refuses a directory that holds something, and leaves it alone.
func TestUnpack_not_empty(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	dir := filepath.Join(s.dir, "full")
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o600))
	if r := s.run("unpack", "oci:"+layout(t, "busybox")+":latest", dir); r.status == 0 {
		t.Error(r)
	}
	if got := names(dir); len(got) != 1 || got[0] != "mine" {
		t.Errorf("the directory now holds %q", got)
	}
}
