package unpack

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// Attributes are changed through descriptors, O_PATH ones included, and never through a name: whoever
// may write in a directory can put a link to a file of somewhere else, or a mount, where a name led a
// moment ago.

// setTimes sets mtime and atime. A time that the file system cannot hold is clamped by the kernel.
func setTimes(fd int, t unix.Timespec) error {
	ts := []unix.Timespec{t, t}
	err := unix.UtimesNanoAt(fd, "", ts, unix.AT_EMPTY_PATH) // Linux 5.8
	if err == unix.EINVAL || err == unix.ENOENT {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, openfd.Path(fd), ts, 0)
	}
	return err
}

// setMode sets the mode of anything but a symbolic link.
func setMode(fd int, mode uint32) error {
	err := unix.Fchmodat(fd, "", mode, unix.AT_EMPTY_PATH) // fchmodat2, Linux 6.6
	if err == unix.EOPNOTSUPP {
		err = unix.Chmod(openfd.Path(fd), mode)
	}
	return err
}

// setOwner sets owner and group.
func setOwner(fd, uid, gid int) error {
	return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

// format gives the type bits of what mknod and symlink make, 0 for all else.
func (k kind) format() uint32 {
	switch k {
	case symlink:
		return unix.S_IFLNK
	case fifo:
		return unix.S_IFIFO
	case charDevice:
		return unix.S_IFCHR
	case blockDevice:
		return unix.S_IFBLK
	}
	return 0
}

// openMade opens with O_PATH what this process has just made at name and could not get a descriptor of
// by making it. Something else in its place, be it a second name of a file elsewhere, is refused.
func (r *Root) openMade(d *dir, name string, format uint32) (int, error) {
	fd, err := r.openComponent(d.fd, name, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT != format || st.Nlink != 1) {
		err = fail("apply", join(d.path, name), spec.Clause{}, ErrUnsafePath, "it was replaced while it was made")
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// mountID tells on which mount a descriptor is. It is what openat2's RESOLVE_NO_XDEV compares; the
// device number will not do, as a directory can be mounted once more on the same file system. statx
// tells it too, since Linux 5.8, where openat2 is there as well.
func mountID(fd int) (int, error) {
	raw, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(raw, []byte("\nmnt_id:\t"))
	if !ok {
		return 0, fmt.Errorf("no mnt_id in %q", raw)
	}
	id, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(string(id))
}
