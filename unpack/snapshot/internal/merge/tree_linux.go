package merge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// Options direct a copy.
type Options struct {
	IDs   IDs
	Share bool // share blocks with the layers where the file system can
}

// Result says what a copy was.
type Result struct {
	Entries    int64 // files of all kinds, without the root
	Shared     int64 // bytes of files whose blocks are those of the layers
	Copied     int64 // bytes that were written, without holes
	LostXattrs int64 // that the file system of the copy did not take
}

// Tree copies what the layers show, base first, into the empty directory dst, which stays the caller's. When
// it fails, what is there must be thrown away. Errors name the path; ctx ends it between two files, or pieces of a large one.
func Tree(ctx context.Context, layers []string, dst *os.File, o Options) (Result, error) {
	c := newCopier(ctx, o)
	c.root = int(dst.Fd())
	var stack []source
	defer func() { closeAll(stack) }()
	for _, l := range slices.Backward(layers) {
		s, err := openSource(unix.AT_FDCWD, l)
		if err != nil {
			return c.result, fmt.Errorf("%s: %w", l, err)
		}
		stack = append(stack, s)
	}
	if len(stack) == 0 {
		return c.result, errors.New("no layers")
	}
	err := c.dir(stack, c.root, "")
	return c.result, err
}

// copier is one copy.
type copier struct {
	o      Options
	ctx    context.Context //nolint:containedctx // of one call of Tree or CopyTo
	root   int
	result Result
	links  map[inode]string // of files with several names: the one in the copy, as a path from its root

	noClone map[uint64]bool // devices whose files cannot be cloned there
	noRange bool
	buf     []byte
	xattrReader
}

func newCopier(ctx context.Context, o Options) *copier {
	return &copier{o: o, ctx: ctx, links: map[inode]string{}, noClone: map[uint64]bool{}}
}

// inode is a file of a layer.
type inode struct{ dev, ino uint64 }

// source is an open directory of a layer.
type source struct {
	fd int
	st unix.Stat_t
}

func openSource(parent int, name string) (source, error) {
	s := source{}
	var err error
	if s.fd, err = unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return s, err
	}
	if err := unix.Fstat(s.fd, &s.st); err != nil {
		unix.Close(s.fd)
		return s, err
	}
	return s, nil
}

func closeAll(list []source) {
	for _, s := range list {
		unix.Close(s.fd)
	}
}

// child is a name in a merged directory.
type child struct {
	name  string
	st    unix.Stat_t // of the topmost
	from  []int       // sources that have it, the topmost first; more than one only of a directory
	ended bool        // what sources further below have is hidden
}

// dir copies a merged directory, sources top first, to dst.
func (c *copier) dir(sources []source, dst int, path string) error {
	children, err := list(sources)
	if err != nil {
		return at(path, err)
	}
	for _, k := range children {
		if err := c.ctx.Err(); err != nil {
			return context.Cause(c.ctx)
		}
		below := k.name
		if path != "" {
			below = path + "/" + k.name
		}
		switch {
		case isWhiteout(&k.st):
			continue
		case isDir(&k.st):
			err = c.subdir(sources, k, dst, below)
		default:
			err = at(below, c.file(sources[k.from[0]].fd, k, dst, below))
		}
		if err != nil {
			return err
		}
		c.result.Entries++
	}
	return at(path, c.attributes(openfd.Path(sources[0].fd), &sources[0].st, dst))
}

// at names the path where something failed.
func at(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%.200q: %w", "/"+path, err)
}

// list gives the children of a merged directory.
func list(sources []source) ([]*child, error) {
	var all []*child
	known := map[string]*child{}
	for i, s := range sources {
		names, err := readNames(s.fd)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			k := known[name]
			if k != nil && k.ended {
				continue
			}
			var st unix.Stat_t
			if err := unix.Fstatat(s.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return nil, fmt.Errorf("%.200q: %w", name, err)
			}
			if k == nil {
				k = &child{name: name, st: st}
				known[name] = k
				all = append(all, k)
			}
			if k.ended = !isDir(&st); !k.ended || len(k.from) == 0 {
				k.from = append(k.from, i)
			}
		}
		if i+1 == len(sources) {
			break
		}
		if hides, err := opaque(openfd.Path(s.fd)); err != nil || hides {
			return all, err
		}
	}
	return all, nil
}

// readNames gives the names in an open directory, which can be read once.
func readNames(fd int) ([]string, error) {
	own, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), ".")
	defer f.Close()
	return f.Readdirnames(-1)
}

// subdir copies a directory with all below it.
func (c *copier) subdir(sources []source, k *child, parent int, path string) error {
	var stack []source
	defer func() { closeAll(stack) }()
	for _, i := range k.from {
		s, err := openSource(sources[i].fd, k.name)
		if err != nil {
			return at(path, err)
		}
		stack = append(stack, s)
	}
	if err := unix.Mkdirat(parent, k.name, 0o700); err != nil {
		return at(path, err)
	}
	dst, err := unix.Openat(parent, k.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return at(path, err)
	}
	defer unix.Close(dst)
	return c.dir(stack, dst, path)
}

// file copies what is no directory, or gives a copy of it one more name.
func (c *copier) file(source int, k *child, dst int, path string) error {
	key := inode{k.st.Dev, k.st.Ino}
	if k.st.Nlink > 1 {
		if first, ok := c.links[key]; ok {
			return c.link(first, dst, k.name)
		}
	}
	var err error
	if k.st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = c.regular(source, k, dst)
	} else {
		err = c.special(source, k, dst)
	}
	if err == nil && k.st.Nlink > 1 {
		c.links[key] = path
	}
	return err
}

// link gives the file at a path of the copy a name more.
func (c *copier) link(path string, dst int, name string) error {
	fd, err := unix.Openat(c.root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for err == nil {
		comp, rest, more := strings.Cut(path, "/")
		if !more {
			err = unix.Linkat(fd, comp, dst, name, 0)
			break
		}
		var next int
		next, err = unix.Openat(fd, comp, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		fd, path = next, rest
	}
	if fd >= 0 {
		unix.Close(fd)
	}
	return err
}

// regular copies a regular file.
func (c *copier) regular(source int, k *child, dst int) error {
	from, err := unix.Openat(source, k.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return c.regularTo(from, &k.st, dst, k.name)
}

func (c *copier) regularTo(from int, st *unix.Stat_t, dst int, name string) error {
	to, err := unix.Openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err = c.content(from, to, st); err == nil {
		err = c.attributes(openfd.Path(from), st, to)
	}
	if cerr := unix.Close(to); err == nil {
		err = cerr // the place where NFS and quotas speak
	}
	return err
}

// special copies a symbolic link, a device or a FIFO.
func (c *copier) special(source int, k *child, dst int) error {
	fd, err := unix.Openat(source, k.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return c.specialTo(fd, &k.st, dst, k.name)
}

func (c *copier) specialTo(from int, st *unix.Stat_t, dst int, name string) error {
	var err error
	isLink := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if isLink {
		buf := make([]byte, unix.PathMax)
		n, rerr := unix.Readlinkat(from, "", buf)
		if rerr != nil {
			return rerr
		}
		err = unix.Symlinkat(string(buf[:n]), dst, name)
	} else {
		err = unix.Mknodat(dst, name, st.Mode, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	uid, gid, err := c.o.IDs.of(st.Uid, st.Gid)
	if err != nil {
		return err
	}
	if err := unix.Fchownat(dst, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ownerError(uid, gid, err)
	}
	to, err := unix.Openat(dst, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	if !isLink { // mknod took the umask away, and chown the set-id bits
		if err := unix.Chmod(openfd.Path(to), st.Mode&0o7777); err != nil {
			return err
		}
	}
	if err := c.xattrs(openfd.Path(from), openfd.Path(to)); err != nil {
		return err
	}
	ts := [2]unix.Timespec{st.Mtim, st.Mtim}
	return unix.UtimesNanoAt(dst, name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

// CopyTo copies a file that is no directory to name in the open directory dst, sharing blocks where it can. ctx ends it
// between two pieces of the content; what is there then must be thrown away.
func (f *File) CopyTo(ctx context.Context, dst int, name string) error {
	c := newCopier(ctx, Options{Share: true})
	if f.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return c.specialTo(f.FD, &f.Stat, dst, name)
	}
	from, err := unix.Open(openfd.Path(f.FD), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	return c.regularTo(from, &f.Stat, dst, name)
}
