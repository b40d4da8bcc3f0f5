package unpack

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxDirs is how many directory descriptors a Root keeps open between entries. Tars go
	// through a tree in order, so that a few would do.
	maxDirs = 64
	// maxLinks is the kernel's own bound on symbolic links in one resolution.
	maxLinks = 40
	// maxRetries bounds how often EAGAIN of openat2 is answered by trying again: it says that a
	// rename raced with "..", which an attacker can do for ever.
	maxRetries = 128
)

// Root is a directory tree that is read and changed through descriptors only: no operation can
// reach outside, whatever symbolic links the tree holds and whoever renames in it meanwhile. A
// Root is for one goroutine at a time.
type Root struct {
	name    string // as it was opened, for messages
	top     dir
	openat2 bool // the kernel has it
	mount   int  // the id of the root's mount, without openat2
	probed  bool
	folds   *folding // nil on a file system that tells all names apart
	acls    bool     // a directory was given a default ACL, which what is made in it would inherit
	dirs    map[string]*dir
	tick    uint64
	devices *deviceList // made by the layers so far
}

// dir is an open directory in a Root. Its path has no symbolic link in it, so that a cached dir can
// become stale only when a directory is removed.
type dir struct {
	fd     int
	ino    uint64
	path   string // relative to the root; "" for the root
	setgid bool   // what is made in it gets its group
	mode   uint32 // permission bits, when it was opened
	mtime  unix.Timespec
	used   uint64
}

// OpenRoot opens an existing directory. Symbolic links in dir are followed: it is the caller's.
func OpenRoot(path string) (*Root, error) { return openRoot(path, true) }

// openRoot is OpenRoot; without follow dir itself must be no symbolic link.
func openRoot(path string, follow bool) (*Root, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := retry(func() (int, error) { return unix.Open(path, flags, 0) })
	if err != nil {
		return nil, &Error{Op: "open", Subject: path, Err: err}
	}
	return newRoot(fd, path)
}

// RootOf gives a Root for a directory that is open already, such as a detached mount. f
// stays the caller's, and may be closed.
func RootOf(f *os.File) (*Root, error) {
	fd, err := unix.Openat(int(f.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{Op: "open", Subject: f.Name(), Err: err}
	}
	return newRoot(fd, f.Name())
}

func newRoot(fd int, path string) (*Root, error) {
	r := &Root{name: path, top: dir{fd: fd}, dirs: map[string]*dir{}}
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		unix.Close(fd)
		return nil, &Error{Op: "open", Subject: path, Err: err}
	}
	r.top.ino, r.top.setgid, r.top.mtime = st.Ino, st.Mode&unix.S_ISGID != 0, st.Mtim
	if r.openat2 = haveOpenat2(fd); r.openat2 {
		return r, nil
	}
	if err := r.walks(); err != nil {
		unix.Close(fd)
		return nil, &Error{Op: "open", Subject: path, Err: err}
	}
	return r, nil
}

// walks makes the root one that does without openat2.
func (r *Root) walks() (err error) {
	r.openat2 = false
	if r.mount, err = mountID(r.top.fd); err != nil {
		err = fmt.Errorf("which mount it is on, where there is no openat2: %w", err)
	}
	return err
}

// haveOpenat2 asks the kernel: Linux before 5.6 and some seccomp filters do not know it.
func haveOpenat2(fd int) bool {
	probe, err := unix.Openat2(fd, ".", &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return false
	}
	unix.Close(probe)
	return true
}

// Close closes all descriptors.
func (r *Root) Close() error {
	r.forget()
	return unix.Close(r.top.fd)
}

// forget drops all cached directories.
func (r *Root) forget() {
	for _, d := range r.dirs {
		unix.Close(d.fd)
	}
	clear(r.dirs)
}

// forgetTree drops the cached directories at and below path, which is about to go.
func (r *Root) forgetTree(path string) {
	for p, d := range r.dirs {
		if p == path || strings.HasPrefix(p, path) && p[len(path)] == '/' {
			unix.Close(d.fd)
			delete(r.dirs, p)
		}
	}
}

// trim closes the directories used least recently, down to half the bound. It is called between
// entries only, when no dir is in use.
func (r *Root) trim() {
	if len(r.dirs) <= maxDirs {
		return
	}
	for p, d := range r.dirs {
		if d.used+maxDirs/2 < r.tick {
			unix.Close(d.fd)
			delete(r.dirs, p)
		}
	}
}

// cached gives a directory that is open already.
func (r *Root) cached(path string) *dir {
	if path == "" {
		return &r.top
	}
	d := r.dirs[path]
	if d != nil {
		r.tick++
		d.used = r.tick
	}
	return d
}

// child opens the directory name in d: ENOENT, or ENOTDIR for anything else, symbolic links included.
func (r *Root) child(d *dir, name string) (*dir, error) {
	path := join(d.path, name)
	if c := r.cached(path); c != nil {
		return c, nil
	}
	fd, err := r.openComponent(d.fd, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := r.spelled(d, name); err != nil {
		unix.Close(fd)
		return nil, err
	}
	r.tick++
	c := &dir{fd: fd, ino: st.Ino, path: path, setgid: st.Mode&unix.S_ISGID != 0, mode: st.Mode & 0o7777, mtime: st.Mtim, used: r.tick}
	r.dirs[path] = c
	return c, nil
}

// openComponent opens one component below a directory: no link is followed, no mount is crossed.
func (r *Root) openComponent(fd int, name string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if r.openat2 {
		got, err := retry(func() (int, error) {
			return unix.Openat2(fd, name, &unix.OpenHow{
				Flags:   uint64(flags),
				Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
			})
		})
		if err == unix.ELOOP {
			err = unix.ENOTDIR
		}
		return got, err
	}
	got, err := retry(func() (int, error) { return unix.Openat(fd, name, flags, 0) })
	if err != nil {
		if err == unix.ELOOP {
			err = unix.ENOTDIR
		}
		return got, err
	}
	on, err := mountID(got)
	if err != nil || on != r.mount {
		unix.Close(got)
		return -1, notZero(err, unix.EXDEV)
	}
	return got, nil
}

func notZero(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// existing opens a directory by its path without symbolic links, one component at a time.
func (r *Root) existing(path string) (*dir, error) {
	if d := r.cached(path); d != nil {
		return d, nil
	}
	d := &r.top
	for comp := range strings.SplitSeq(path, "/") {
		c, err := r.child(d, comp)
		if err != nil {
			return nil, err
		}
		d = c
	}
	return d, nil
}

// RemoveContents removes all that is in the root, and leaves the root. It does not cross mounts.
func (r *Root) RemoveContents() error {
	r.forget()
	r.devices, r.acls = nil, false
	if err := r.removeChildren(r.top.fd, nil); err != nil {
		return &Error{Op: "remove", Subject: "/", Err: err}
	}
	return nil
}

// initialise gives a new root the attributes that it has if no layer says otherwise, and takes
// from it what its parent directory may have given it: a default ACL or the setgid bit would
// change what is made below.
func (r *Root) initialise(o *Options) error {
	for _, name := range []string{aclDefault, aclAccess, OwnerXattr} {
		if err := unix.Fremovexattr(r.top.fd, name); err != nil && err != unix.ENODATA && err != unix.EOPNOTSUPP {
			return err
		}
	}
	own := newOwners(o)
	uid, gid, err := own.of(0, 0)
	if err != nil {
		return err
	}
	if err := chownError(0, 0, uid, gid, unix.Fchown(r.top.fd, uid, gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(r.top.fd, 0o755); err != nil {
		return err
	}
	r.top.setgid = false
	return setTimes(r.top.fd, unix.Timespec{})
}

// removeChildren removes all that is in the open directory fd. seen, if not nil, is called for each
// name with the directory's inode before it is removed; it may have moved it away.
func (r *Root) removeChildren(fd int, seen func(parent int, st *unix.Stat_t, name string) error) error {
	var self unix.Stat_t
	if err := unix.Fstat(fd, &self); err != nil {
		return err
	}
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if seen != nil {
			if err := seen(fd, &self, name); err != nil {
				return err
			}
		}
		if err := r.remove(fd, name, seen); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return nil
}

// remove removes name in the directory parent, with all that is below it.
func (r *Root) remove(parent int, name string, seen func(int, *unix.Stat_t, string) error) error {
	err := unix.Unlinkat(parent, name, 0)
	if err != unix.EISDIR && err != unix.EPERM { // POSIX allows EPERM for a directory
		return err
	}
	fd, derr := r.openComponent(parent, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if derr == unix.ENOTDIR {
		return err
	}
	if derr == unix.EACCES {
		fd, derr = r.openClosed(parent, name)
	}
	if derr != nil {
		return derr
	}
	defer unix.Close(fd)
	for range 3 { // someone may add entries meanwhile
		if err := r.removeChildren(fd, seen); err != nil {
			return err
		}
		if err = unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != unix.ENOTEMPTY {
			break
		}
	}
	return err
}

// openClosed opens a directory whose mode keeps its owner, this process, out.
func (r *Root) openClosed(parent int, name string) (int, error) {
	path, err := r.openComponent(parent, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	if err := setMode(path, 0o700); err != nil {
		return -1, err
	}
	return r.openComponent(path, ".", unix.O_RDONLY|unix.O_DIRECTORY)
}

// list gives the names in an open directory.
func list(fd int) ([]string, error) {
	own, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), ".")
	defer f.Close()
	return f.Readdirnames(-1)
}

// join joins a path and a component.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// isErrno tells whether err is one of the errnos.
func isErrno(err error, errnos ...unix.Errno) bool {
	for _, e := range errnos {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
