package tartest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is all that can be seen of one file of a tree.
type Node struct {
	Type   string // "file", "dir", "link", "char", "block", "fifo", "sock"
	Mode   uint32 // permission bits and setuid, setgid, sticky
	UID    uint32
	GID    uint32
	Size   int64 // of a file
	Rdev   uint64
	Mtime  string            // seconds.nanoseconds
	Sum    string            // sha256 of a file's content
	Target string            // of a symbolic link
	Xattrs map[string]string // without those of the host
	Link   string            // the first path, in sorted order, of the same file
}

// String gives a line that two equal nodes share.
func (n Node) String() string {
	keys := make([]string, 0, len(n.Xattrs))
	for k := range n.Xattrs {
		keys = append(keys, fmt.Sprintf("%s=%x", k, n.Xattrs[k]))
	}
	sort.Strings(keys)
	return fmt.Sprintf("%s %04o %d:%d size=%d rdev=%d mtime=%s sum=%.12s target=%q link=%q xattrs=%s",
		n.Type, n.Mode, n.UID, n.GID, n.Size, n.Rdev, n.Mtime, n.Sum, n.Target, n.Link, strings.Join(keys, ","))
}

// Tree reads a whole tree, by path relative to its root, which is ".".
func Tree(dir string) (map[string]Node, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return TreeOf(f)
}

// TreeOf reads the tree at an open directory, such as a detached mount.
func TreeOf(dir *os.File) (map[string]Node, error) {
	t := tree{nodes: map[string]Node{}, inodes: map[[2]uint64]string{}}
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	root := os.NewFile(uintptr(fd), dir.Name())
	defer root.Close()
	if err := t.add(fd, ".", "."); err != nil {
		return nil, err
	}
	if err := t.walk(root, ""); err != nil {
		return nil, err
	}
	// Other names of a file may be outside of the tree.
	seen := map[string]int{}
	for _, n := range t.nodes {
		seen[n.Link]++
	}
	for path, n := range t.nodes {
		if seen[n.Link] == 1 {
			n.Link = ""
			t.nodes[path] = n
		}
	}
	return t.nodes, nil
}

type tree struct {
	nodes  map[string]Node
	inodes map[[2]uint64]string
}

func (t *tree) walk(dir *os.File, prefix string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		path := prefix + name
		if err := t.add(int(dir.Fd()), name, path); err != nil {
			return fmt.Errorf("%q: %w", path, err)
		}
		if t.nodes[path].Type != "dir" {
			continue
		}
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		sub := os.NewFile(uintptr(fd), path)
		err = t.walk(sub, path+"/")
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) add(dirfd int, name, path string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	types := map[uint32]string{
		unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "link", unix.S_IFCHR: "char",
		unix.S_IFBLK: "block", unix.S_IFIFO: "fifo", unix.S_IFSOCK: "sock",
	}
	n := Node{
		Type: types[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Mtime: fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec),
	}
	fd, err := unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	proc := "/proc/self/fd/" + strconv.Itoa(fd)
	switch n.Type {
	case "file":
		n.Size = st.Size
		if n.Sum, err = sum(proc); err != nil {
			return err
		}
	case "link":
		buf := make([]byte, unix.PathMax)
		m, err := unix.Readlinkat(dirfd, name, buf)
		if err != nil {
			return err
		}
		n.Target = string(buf[:m])
	case "char", "block":
		n.Rdev = st.Rdev
	}
	if n.Type != "dir" && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if t.inodes[key] == "" {
			t.inodes[key] = path
		}
		n.Link = t.inodes[key]
	}
	n.Xattrs, err = xattrs(proc)
	t.nodes[path] = n
	return err
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// xattrs reads the xattrs, without those that overlayfs or the host own.
func xattrs(path string) (map[string]string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, buf)
	if err != nil || n == 0 {
		if err == unix.ENOTSUP {
			err = nil
		}
		return nil, err
	}
	out := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") || name == "security.selinux" || strings.HasPrefix(name, "trusted.SGI_ACL_") { // XFS shows ACLs twice
			continue
		}
		val := make([]byte, 64<<10)
		m, err := unix.Getxattr(path, name, val)
		if err != nil {
			return nil, err
		}
		out[name] = string(val[:m])
	}
	return out, nil
}

// Diff tells how two trees differ, a line for each path; nothing if they do not.
func Diff(got, want map[string]Node) []string {
	var lines []string
	for path, w := range want {
		g, ok := got[path]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("%q missing: %s", path, w))
		case g.String() != w.String():
			lines = append(lines, fmt.Sprintf("%q\n   got  %s\n   want %s", path, g, w))
		}
	}
	for path, g := range got {
		if _, ok := want[path]; !ok {
			lines = append(lines, fmt.Sprintf("%q extra: %s", path, g))
		}
	}
	sort.Strings(lines)
	return lines
}
