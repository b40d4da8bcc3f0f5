package unpack

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// setXattrs sets the xattrs of an entry, those that may come from an image. What the file system
// or the privileges do not allow is left out with a warning.
func (a *applier) setXattrs(fd int, e *entry) error {
	for _, x := range e.xattrs {
		if reason := skipXattr(x.name); reason != "" {
			a.warn.once("skip "+x.name, e.path, "an xattr is left out: "+reason, "xattr", x.name)
			continue
		}
		err := setXattr(fd, x.name, x.value)
		switch {
		case err == nil:
		case isErrno(err, unix.ENOTSUP, unix.EPERM):
			a.warn.once(err.Error()+x.name, e.path, "an xattr is left out", "xattr", x.name, "error", err)
			a.leftOut("xattr " + x.name)
		default:
			return fmt.Errorf("set xattr %q: %w", x.name, err)
		}
	}
	return nil
}

// leftOut tells who asked what is not on disk.
func (a *applier) leftOut(what string) {
	if a.o.LeftOut != nil {
		a.o.LeftOut(what)
	}
}

// setXattr sets an xattr on a descriptor, O_PATH ones included.
func setXattr(fd int, name, value string) error {
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	if err == unix.EBADF {
		err = unix.Setxattr(procFD(fd), name, []byte(value), 0)
	}
	return err
}

// clearXattrs removes the xattrs that an image can have given to an open directory.
func clearXattrs(fd int) error {
	buf := make([]byte, 4096)
	n, err := unix.Flistxattr(fd, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, 64<<10) // the kernel's own limit
		n, err = unix.Flistxattr(fd, buf)
	}
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" || skipXattr(name) != "" {
			continue
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !isErrno(err, unix.ENODATA, unix.ENOTSUP, unix.EPERM) {
			return fmt.Errorf("remove xattr %q: %w", name, err)
		}
	}
	return nil
}
