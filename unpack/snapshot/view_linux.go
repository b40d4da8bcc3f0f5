package snapshot

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// view looks paths up in a stack of layer directories as overlayfs would, without a mount: that
// needs no privileges. Paths are taken literally: a symbolic link on the way is not followed.
type view struct {
	roots []int // top first
}

// openView opens layer directories that are given base first.
func openView(dirs []string) (*view, error) {
	v := &view{}
	for _, d := range slices.Backward(dirs) {
		fd, err := unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			v.close()
			return nil, fmt.Errorf("%s: %w", d, err)
		}
		v.roots = append(v.roots, fd)
	}
	return v, nil
}

func (v *view) close() {
	if v == nil {
		return
	}
	for _, fd := range v.roots {
		unix.Close(fd)
	}
}

// found is a file of a layer, open with O_PATH.
type found struct {
	fd int
	st unix.Stat_t
}

func (f *found) close() { unix.Close(f.fd) }

// find gives what the stack shows at path: ENOENT if that is nothing.
func (v *view) find(path string) (*found, error) {
	for _, root := range v.roots {
		f, stop, err := findIn(root, path)
		if err != nil || f != nil {
			return f, err
		}
		if stop {
			break
		}
	}
	return nil, unix.ENOENT
}

// count tells of how many directories the stack merges the one at path; 0 if there is none.
func (v *view) count(path string) (int, error) {
	n := 0
	for _, root := range v.roots {
		f, stop, err := findIn(root, path)
		if err != nil {
			return n, err
		}
		if f != nil {
			isDir := f.st.Mode&unix.S_IFMT == unix.S_IFDIR
			if isDir {
				n++
				stop, err = f.isOpaque(stop)
			}
			f.close()
			if err != nil || !isDir {
				return n, err
			}
		}
		if stop {
			break
		}
	}
	return n, nil
}

// findIn looks in one layer. stop says that the layer hides what those below have.
func findIn(root int, path string) (f *found, stop bool, err error) {
	fd, err := unix.Openat(root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	f = &found{fd: fd}
	if err := unix.Fstat(fd, &f.st); err != nil || path == "" {
		return f, false, err
	}
	for comp := range strings.SplitSeq(path, "/") {
		if f.st.Mode&unix.S_IFMT != unix.S_IFDIR {
			f.close()
			return nil, true, nil // a file where the path needs a directory
		}
		if stop, err = f.isOpaque(stop); err != nil {
			f.close()
			return nil, false, err
		}
		next, err := unix.Openat(f.fd, comp, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		f.close()
		if err == unix.ENOENT {
			return nil, stop, nil
		}
		if err != nil {
			return nil, false, err
		}
		f.fd = next
		if err := unix.Fstat(next, &f.st); err != nil {
			f.close()
			return nil, false, err
		}
	}
	if f.st.Mode&unix.S_IFMT == unix.S_IFCHR && f.st.Rdev == 0 {
		f.close()
		return nil, true, nil // a whiteout
	}
	return f, stop, nil
}

// isOpaque tells whether a directory, or one above it, hides what lower layers have in it.
func (f *found) isOpaque(above bool) (bool, error) {
	if above {
		return true, nil
	}
	var y [1]byte
	for _, name := range []string{"trusted.overlay.opaque", "user.overlay.opaque"} {
		n, err := unix.Getxattr(f.proc(), name, y[:])
		switch {
		case err == nil:
			return n == 1 && y[0] == 'y', nil
		case err != unix.ENODATA && err != unix.ENOTSUP && err != unix.EPERM:
			return false, err
		}
	}
	return false, nil
}

// proc names the open file as a path.
func (f *found) proc() string { return "/proc/self/fd/" + strconv.Itoa(f.fd) }

// xattrs gives name=value pairs, sorted, without those of overlayfs and of the host.
func (f *found) xattrs() ([][2]string, error) {
	buf := make([]byte, 64<<10) // the kernel's own limit on the list, and on a value
	n, err := unix.Listxattr(f.proc(), buf)
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list [][2]string
	names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if name == "" || name == "security.selinux" || strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		m, err := unix.Getxattr(f.proc(), name, buf)
		if err != nil {
			return nil, err
		}
		list = append(list, [2]string{name, string(buf[:m])})
	}
	return list, nil
}

// attributesTo gives an open file or directory the attributes of f.
func (f *found) attributesTo(fd int) error {
	if err := unix.Fchown(fd, int(f.st.Uid), int(f.st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, f.st.Mode&0o7777); err != nil {
		return err
	}
	list, err := f.xattrs()
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := unix.Fsetxattr(fd, x[0], []byte(x[1]), 0); err != nil {
			return fmt.Errorf("set xattr %q: %w", x[0], err)
		}
	}
	ts := []unix.Timespec{f.st.Mtim, f.st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), ts, 0)
}

// copyTo copies a file that is no directory.
func (f *found) copyTo(parent int, base string) error {
	if f.st.Mode&unix.S_IFMT == unix.S_IFREG {
		return f.copyFile(parent, base)
	}
	var err error
	if f.st.Mode&unix.S_IFMT == unix.S_IFLNK {
		buf := make([]byte, unix.PathMax)
		n, rerr := unix.Readlinkat(f.fd, "", buf)
		if rerr != nil {
			return rerr
		}
		err = unix.Symlinkat(string(buf[:n]), parent, base)
	} else {
		err = unix.Mknodat(parent, base, f.st.Mode, int(f.st.Rdev))
	}
	if err != nil {
		return err
	}
	if err := unix.Fchownat(parent, base, int(f.st.Uid), int(f.st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(parent, base, []unix.Timespec{f.st.Mtim, f.st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// copyFile copies a regular file; the kernel shares the blocks where it can.
func (f *found) copyFile(parent int, base string) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(fd), base)
	defer dst.Close()
	src, err := os.Open(f.proc())
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	if err := f.attributesTo(fd); err != nil {
		return err
	}
	return dst.Close()
}
