package mtree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// OfDir reads the files in an open directory as they are on disk, through descriptors: no symbolic link is
// followed, and no other file system entered. With content, files are hashed. Unlike the tree of an image
// the manifest has all xattrs that this process may see, also those that belong to the host.
func OfDir(ctx context.Context, dir *os.File, content bool) (*File, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, readError("", err)
	}
	s := &scan{ctx: ctx, content: content, buf: make([]byte, 128<<10)}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	var root *File
	if err == nil {
		s.dev = st.Dev
		root, err = s.file(fd, ".", &st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, readError("", err)
	}
	return root, s.dir(fd, "", root)
}

type scan struct {
	ctx     context.Context //nolint:containedctx // lives as long as one call
	content bool
	dev     uint64
	buf     []byte
}

func readError(path string, err error) error {
	var known *unpack.Error
	if errors.As(err, &known) {
		return err
	}
	return &unpack.Error{Op: "read tree", Subject: "/" + path, Err: err}
}

// dir reads what is in the open directory fd, and closes it.
func (s *scan) dir(fd int, path string, into *File) error {
	d := os.NewFile(uintptr(fd), path)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return readError(path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		below := name
		if path != "" {
			below = path + "/" + name
		}
		err := context.Cause(s.ctx)
		if err == nil {
			err = s.child(fd, name, below, into)
		}
		if err != nil {
			return readError(below, err)
		}
	}
	return nil
}

func (s *scan) child(parent int, name, path string, into *File) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return err
	}
	f, err := s.file(parent, name, &st)
	if err != nil {
		return err
	}
	into.children = append(into.children, f)
	switch {
	case f.kind == unpack.Directory && st.Dev == s.dev:
		fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return s.dir(fd, path, f)
	case f.kind == unpack.Regular && s.content:
		return s.hash(parent, name, f, &st)
	}
	return nil
}

// hash reads the file that was looked at, or it is an error.
func (s *scan) hash(parent int, name string, f *File, st *unix.Stat_t) error {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Ino != st.Ino || now.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, errors.New("the tree is being changed"))
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{file}, s.buf)
	if err == nil && n != f.size {
		err = errors.New("the file is being changed")
	}
	f.digest = digest.NewDigest(digest.SHA256, sum)
	return err
}

func (s *scan) file(parent int, name string, st *unix.Stat_t) (*File, error) {
	f := &File{
		name: name, mode: st.Mode & 0o7777, uid: st.Uid, gid: st.Gid, size: st.Size, links: uint64(st.Nlink),
		sec: st.Mtim.Sec, nsec: st.Mtim.Nsec,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		f.kind = unpack.Directory
	case unix.S_IFLNK:
		f.kind = unpack.Symlink
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(parent, name, target)
		if err != nil {
			return nil, err
		}
		f.target = string(target[:n])
	case unix.S_IFCHR:
		f.kind = unpack.CharDevice
	case unix.S_IFBLK:
		f.kind = unpack.BlockDevice
	case unix.S_IFIFO:
		f.kind = unpack.FIFO
	case unix.S_IFSOCK:
		f.kind = unpack.Socket
	default:
		f.kind = unpack.Regular
	}
	if f.kind != unpack.Regular && f.kind != unpack.Directory {
		return f, nil
	}
	return f, s.xattrs(parent, name, f)
}

// xattrs reads the extended attributes: the path leads through the open directory.
func (s *scan) xattrs(parent int, name string, f *File) error {
	path := "/proc/self/fd/" + strconv.Itoa(parent) + "/" + name
	size, err := unix.Llistxattr(path, s.buf)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for x := range strings.SplitSeq(strings.TrimSuffix(string(s.buf[:size]), "\x00"), "\x00") {
		n, err := unix.Lgetxattr(path, x, s.buf)
		if err == unix.ENODATA || err == unix.ENOTSUP {
			continue // not for the eyes of this process
		}
		if err != nil {
			return fmt.Errorf("xattr %q: %w", x, err)
		}
		f.xattrs = append(f.xattrs, unpack.Xattr{Name: x, Value: string(s.buf[:n])})
	}
	slices.SortFunc(f.xattrs, func(a, b unpack.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return nil
}
