package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
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

// inode names a file.
type inode struct{ dev, ino uint64 }

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
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, readError("", err)
	}
	n, err := s.node(fd, ".", &st)
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
	var st unix.Stat_t
	err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err == unix.ENOENT || dir.children[name] != nil { // it has gone, or is listed again after a rename
		return nil
	}
	if err != nil {
		return s.failed(path, err)
	}
	if s.tree.len++; int64(s.tree.len) > s.o.Entries {
		return fmt.Errorf("%w: more than %d paths", unpack.ErrLimit, s.o.Entries)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Nlink > 1 && !isDir {
		if n := s.inodes[inode{st.Dev, st.Ino}]; n != nil {
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
	case isDir:
		return s.subdirectory(ctx, parent, name, path, n, &st)
	case st.Nlink > 1:
		s.inodes[inode{st.Dev, st.Ino}] = n
	}
	if s.hash != nil && n.Kind == unpack.Regular {
		return s.failed(path, s.content(parent, name, path, n, &st))
	}
	return nil
}

// subdirectory reads what is in the directory n, unless it is too deep, or something is mounted on it.
func (s *scan) subdirectory(ctx context.Context, parent int, name, path string, n *Node, st *unix.Stat_t) error {
	if int64(strings.Count(path, "/")+1) >= s.o.Depth {
		return s.failed(path, fmt.Errorf("%w: more than %d components", unpack.ErrLimit, s.o.Depth))
	}
	fd, err := openBelow(parent, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == unix.EXDEV {
		n.Mount = true
		if s.o.Logger != nil {
			s.o.Logger.Warn("a mounted directory is not looked into", "path", fmt.Sprintf("%q", path))
		}
		return nil
	}
	if err != nil {
		return s.failed(path, err)
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Ino != st.Ino || now.Dev != st.Dev {
		unix.Close(fd)
		return s.failed(path, errors.Join(err, errChanging))
	}
	return s.dir(ctx, fd, path, n)
}

// errChanging: what was looked at is not what was opened.
var errChanging = errors.New("the tree is being changed")

// content has a file hashed. What is opened is the file that was looked at, or it is an error.
func (s *scan) content(parent int, name, path string, n *Node, st *unix.Stat_t) error {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Ino != st.Ino || now.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return errors.Join(err, errChanging)
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
func (s *scan) node(parent int, name string, st *unix.Stat_t) (*Node, error) {
	n := &Node{
		Mode: st.Mode & 0o7777, UID: imageID(s.o.UIDMap, st.Uid), GID: imageID(s.o.GIDMap, st.Gid),
		Sec: st.Mtim.Sec, Nsec: int32(st.Mtim.Nsec), Position: -1,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.Kind, n.Size = unpack.Regular, st.Size
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
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			n.Kind = unpack.BlockDevice
		}
		n.Major, n.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
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
	path := "/proc/self/fd/" + strconv.Itoa(parent) + "/" + name
	size, err := unix.Llistxattr(path, s.buf)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for x := range strings.SplitSeq(strings.TrimSuffix(string(s.buf[:size]), "\x00"), "\x00") {
		if unpack.HostXattr(x) && !(s.o.SingleID && x == unpack.OwnerXattr) {
			continue
		}
		m, err := unix.Lgetxattr(path, x, s.buf)
		if err == unix.ENODATA {
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
		n.Xattrs = append(n.Xattrs, unpack.Xattr{Name: x, Value: value})
	}
	slices.SortFunc(n.Xattrs, func(a, b unpack.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// hashers hash files beside the walk.
type hashers struct {
	jobs chan job
	wg   sync.WaitGroup
	once sync.Once
	err  error
	ctx  context.Context //nolint:containedctx // lives as long as one call
}

// job is a file to hash; who hashes it closes it.
type job struct {
	file *os.File
	node *Node
}

func startHashers(ctx context.Context) *hashers {
	h := &hashers{jobs: make(chan job, 16), ctx: ctx}
	for range min(goruntime.GOMAXPROCS(0), 8) {
		h.wg.Go(h.run)
	}
	return h
}

func (h *hashers) run() {
	buf := make([]byte, 128<<10)
	for j := range h.jobs {
		if err := h.sum(j, buf); err != nil {
			h.once.Do(func() { h.err = readError(j.file.Name(), err) })
		}
	}
}

func (h *hashers) sum(j job, buf []byte) error {
	defer j.file.Close()
	if err := context.Cause(h.ctx); err != nil {
		return err
	}
	sum := sha256.New()
	// The file is read bare: io.Copy would find ways around the buffer.
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{j.file}, buf)
	if err == nil && n != j.node.Size {
		err = errors.New("the file is being changed")
	}
	j.node.Digest = digest.NewDigest(digest.SHA256, sum)
	return err
}

// wait ends the hashers and gives the first error.
func (h *hashers) wait() error {
	close(h.jobs)
	h.wg.Wait()
	return h.err
}
