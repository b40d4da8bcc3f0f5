package tree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// scan reads a tree from disk.
type scan struct {
	o      DirOptions
	tree   *Tree
	inodes map[inode]*Node // files with several names
	buf    []byte          // for xattrs
	links  []byte          // for targets of symbolic links
	hash   *hashers        // nil without Content
}

func ofDir(ctx context.Context, dir *os.File, o DirOptions) (_ *Tree, err error) {
	s := &scan{o: o, tree: &Tree{}, inodes: map[inode]*Node{}, buf: make([]byte, 64<<10), links: make([]byte, unix.PathMax)}
	if o.Content {
		s.hash = startHashers(ctx)
		defer func() {
			if herr := s.hash.wait(); err == nil {
				err = herr
			}
		}()
	}
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, readError("", err)
	}
	st, err := lookAt(fd, "", unix.AT_EMPTY_PATH)
	var n *Node
	if err == nil {
		n, err = s.node(fd, ".", &st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, readError("", err)
	}
	s.tree.Root, s.tree.len, n.Names = n, 1, 1
	return s.tree, s.dir(ctx, fd, "", n)
}

func readError(path string, err error) error {
	var known *unpack.Error
	if errors.As(err, &known) {
		return err
	}
	return &unpack.Error{Op: "read tree", Subject: "/" + path, Err: err}
}

// batch is how many names of a directory are read at once: it may have more than fit into memory.
const batch = 4096

// dir reads what is in the open directory fd, and closes it.
func (s *scan) dir(ctx context.Context, fd int, path string, n *Node) error {
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	for {
		names, err := f.Readdirnames(batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.failed(path, err)
		}
		if n.children == nil {
			n.children = make(map[string]*Node, len(names))
		}
		for _, name := range names {
			if err := context.Cause(ctx); err != nil {
				return readError(path, err)
			}
			if err := s.child(ctx, fd, name, join(path, name), n); err != nil {
				return readError(join(path, name), err)
			}
		}
	}
}

// failed is an error of a path, or none if the caller can do without it.
func (s *scan) failed(path string, err error) error {
	if err != nil && s.o.Failed != nil {
		return s.o.Failed(path, err)
	}
	return err
}

// child reads one name of a directory, with what is below it.
func (s *scan) child(ctx context.Context, parent int, name, path string, dir *Node) error {
	if s.o.Skip != nil && s.o.Skip(path) {
		return nil
	}
	st, err := lookAt(parent, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err == unix.ENOENT || dir.children[name] != nil { // it has gone, or is listed again after a rename
		return nil
	}
	if err != nil {
		return s.failed(path, err)
	}
	if s.tree.len++; int64(s.tree.len) > s.o.Entries {
		return unpack.Exceeded("entries", s.o.Entries, int64(s.tree.len), "the directory has more paths")
	}
	isDir := st.mode&unix.S_IFMT == unix.S_IFDIR
	if st.links > 1 && !isDir && !st.mounted {
		if n := s.inodes[st.inode]; n != nil {
			n.Names++
			dir.children[name] = n
			return nil
		}
	}
	n, err := s.node(parent, name, &st)
	if err == unix.ENOENT {
		s.tree.len--
		return nil
	}
	if err != nil {
		return s.failed(path, err)
	}
	n.Names = 1
	dir.children[name] = n
	switch {
	case st.mounted:
		s.mounted(path, n)
		return nil
	case isDir:
		return s.subdirectory(ctx, parent, name, path, n, &st)
	case st.links > 1:
		s.inodes[st.inode] = n
	}
	if n.Kind == unpack.Regular && s.o.FileBytes > 0 && n.Size > s.o.FileBytes {
		return s.failed(path, unpack.Exceeded("file", s.o.FileBytes, n.Size, "the file is larger"))
	}
	if s.hash == nil || n.Kind != unpack.Regular {
		return nil
	}
	err = s.content(parent, name, path, n, &st)
	if err == unix.EXDEV {
		s.mounted(path, n)
		return nil
	}
	return s.failed(path, err)
}

// mounted notes that what is at a path is not of the tree.
func (s *scan) mounted(path string, n *Node) {
	n.Mount = true
	if s.o.Logger != nil {
		s.o.Logger.Warn("what is mounted is not looked into", "path", fmt.Sprintf("%q", path))
	}
}

// subdirectory reads what is in the directory n, unless it is too deep, or something is mounted on it.
func (s *scan) subdirectory(ctx context.Context, parent int, name, path string, n *Node, st *seen) error {
	if int64(strings.Count(path, "/")+1) >= s.o.Depth {
		return s.failed(path, unpack.Exceeded("depth", s.o.Depth, 0, "what is in the directory is deeper"))
	}
	fd, err := openBelow(parent, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == unix.EXDEV {
		s.mounted(path, n)
		return nil
	}
	if err != nil {
		return s.failed(path, err)
	}
	if now, err := lookAt(fd, "", unix.AT_EMPTY_PATH); err != nil || now.inode != st.inode {
		unix.Close(fd)
		return s.failed(path, errors.Join(err, errChanging))
	}
	return s.dir(ctx, fd, path, n)
}

// errChanging: what was looked at is not what was opened.
var errChanging = errors.New("the tree is being changed")

// content has a file hashed. What is opened is the file that was looked at, or it is an error: who races
// with a FIFO or a device does not get it opened, which alone can act. EXDEV: something is mounted on it.
func (s *scan) content(parent int, name, path string, n *Node, st *seen) error {
	handle, err := openBelow(parent, name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(handle)
	if now, err := lookAt(handle, "", unix.AT_EMPTY_PATH); err != nil || now.inode != st.inode || now.mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, errChanging)
	}
	fd, err := openfd.Reopen(handle, unix.O_RDONLY)
	if err != nil {
		return err
	}
	s.hash.jobs <- job{os.NewFile(uintptr(fd), path), n}
	return nil
}

// openBelow opens one component, without following a link or crossing into a mount.
func openBelow(parent int, name string, flags uint64) (int, error) {
	for range 128 { // EAGAIN: someone renames meanwhile
		fd, err := unix.Openat2(parent, name, &unix.OpenHow{
			Flags:   flags | unix.O_CLOEXEC | unix.O_NOFOLLOW,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
		})
		if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or a seccomp filter that does not know it
			return openOnDevice(parent, name, flags)
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// openOnDevice is openBelow by older means: it crosses a bind mount of the same file system.
func openOnDevice(parent int, name string, flags uint64) (int, error) {
	fd, err := unix.Openat(parent, name, int(flags)|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fd, err
	}
	var in, up unix.Stat_t
	err = errors.Join(unix.Fstat(fd, &in), unix.Fstat(parent, &up))
	if err == nil && in.Dev != up.Dev {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// node gives the file that name in a directory is.
func (s *scan) node(parent int, name string, st *seen) (*Node, error) {
	n := &Node{
		Mode: st.mode & 0o7777, UID: unpack.ImageID(s.o.UIDMap, st.uid), GID: unpack.ImageID(s.o.GIDMap, st.gid),
		Sec: st.sec, Nsec: st.nsec, Position: -1,
	}
	if s.o.AsIs {
		n.Size, n.Links = st.size, st.links
	}
	switch st.mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.Kind, n.Size = unpack.Regular, st.size
	case unix.S_IFDIR:
		n.Kind = unpack.Directory
	case unix.S_IFLNK:
		n.Kind, n.Mode = unpack.Symlink, 0o777
		m, err := unix.Readlinkat(parent, name, s.links)
		if err != nil {
			return nil, err
		}
		n.Link = string(s.links[:m])
	case unix.S_IFCHR, unix.S_IFBLK:
		n.Kind = unpack.CharDevice
		if st.mode&unix.S_IFMT == unix.S_IFBLK {
			n.Kind = unpack.BlockDevice
		}
		n.Major, n.Minor = st.major, st.minor
	case unix.S_IFIFO:
		n.Kind = unpack.FIFO
	default:
		n.Kind = unpack.Socket
	}
	if s.o.SingleID {
		n.UID, n.GID = 0, 0
	}
	return n, s.xattrs(parent, name, n)
}

// xattrs reads the extended attributes. The path leads through the open directory, and its last component
// is not followed.
func (s *scan) xattrs(parent int, name string, n *Node) error {
	path := openfd.Path(parent) + "/" + name
	size, err := unix.Llistxattr(path, s.buf)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for x := range strings.SplitSeq(strings.TrimSuffix(string(s.buf[:size]), "\x00"), "\x00") {
		if unpack.HostXattr(x) && !s.o.AsIs && !(s.o.SingleID && x == unpack.OwnerXattr) {
			continue
		}
		m, err := unix.Lgetxattr(path, x, s.buf)
		if err == unix.ENODATA || err == unix.ENOTSUP {
			continue // removed meanwhile, or for other eyes only
		}
		if err != nil {
			return fmt.Errorf("xattr %q: %w", x, err)
		}
		value := string(s.buf[:m])
		if s.o.SingleID && x == unpack.OwnerXattr {
			if uid, gid, err := unpack.DecodeOwner(value); err == nil {
				n.UID, n.GID = uid, gid
				continue
			}
		}
		n.Xattrs = append(n.Xattrs, unpack.Xattr{Name: x, Value: s.o.imageXattr(x, value)})
	}
	slices.SortFunc(n.Xattrs, func(a, b unpack.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
