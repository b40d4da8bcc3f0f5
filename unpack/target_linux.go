package unpack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// target is what an empty directory was before layers were unpacked into it: a failure gives it back.
type target struct {
	st     unix.Stat_t
	xattrs map[string]string
}

// empty tells whether there is nothing in the root.
func (r *Root) empty() (bool, error) {
	fd, err := unix.Openat(r.top.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) == 0, err
}

// remember notes what the root is.
func (r *Root) remember() (*target, error) {
	t := &target{}
	if err := unix.Fstat(r.top.fd, &t.st); err != nil {
		return nil, err
	}
	var err error
	t.xattrs, err = readXattrs(r.top.fd)
	return t, err
}

// restore makes the root that again, once it is empty. The order is that of unpacking: owner, mode,
// xattrs, times.
func (r *Root) restore(t *target) error {
	fd := r.top.fd
	if err := unix.Fchown(fd, int(t.st.Uid), int(t.st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, t.st.Mode&0o7777); err != nil {
		return err
	}
	now, err := readXattrs(fd)
	if err != nil {
		return err
	}
	for name, value := range t.xattrs {
		if now[name] == value {
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			return fmt.Errorf("give back the xattr %q: %w", name, err)
		}
	}
	for name := range now {
		if _, ok := t.xattrs[name]; !ok {
			if err := unix.Fremovexattr(fd, name); err != nil {
				return fmt.Errorf("remove the xattr %q: %w", name, err)
			}
		}
	}
	return unix.UtimesNanoAt(fd, ".", []unix.Timespec{t.st.Atim, t.st.Mtim}, 0)
}

// readXattrs reads all xattrs of an open directory; none where there cannot be any.
func readXattrs(fd int) (map[string]string, error) {
	buf := make([]byte, 64<<10) // the kernel's own limit, for the list and for each value
	n, err := unix.Flistxattr(fd, buf)
	if err != nil || n == 0 {
		if isErrno(err, unix.ENOTSUP) {
			err = nil
		}
		return nil, err
	}
	list := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		m, err := unix.Fgetxattr(fd, name, value)
		if isErrno(err, unix.ENODATA, unix.EPERM) {
			continue // not to be seen is not to be changed
		}
		if err != nil {
			return nil, err
		}
		list[name] = string(value[:m])
	}
	return list, nil
}
