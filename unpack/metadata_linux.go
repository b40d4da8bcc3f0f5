package unpack

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// holeBlock is the least run of zeros that is left out of a sparse file.
const holeBlock = 4096

// write writes the content of e to fd.
func (a *applier) write(fd int, e *entry, p *payload) error {
	var n int64
	for {
		m, err := readFull(p, a.buf)
		if m > 0 {
			if e.sparse {
				if werr := writeSparse(fd, a.buf[:m], n); werr != nil {
					return werr
				}
			} else if werr := writeAll(fd, a.buf[:m]); werr != nil {
				return werr
			}
			n += int64(m)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errPayload, notEOF(err))
		}
	}
	if n != e.size {
		return fmt.Errorf("%w: %d bytes of %d", errPayload, n, e.size)
	}
	if e.sparse {
		return unix.Ftruncate(fd, e.size) // a hole at the end
	}
	return nil
}

// readFull fills buf as far as r gives bytes; io.EOF comes with the last ones.
func readFull(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// writeAll writes all of b.
func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// writeSparse writes b at off, except for blocks of zeros.
func writeSparse(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n := min(holeBlock, len(b))
		if strings.Trim(string(b[:n]), "\x00") != "" {
			if m, err := unix.Pwrite(fd, b[:n], off); err != nil && err != unix.EINTR {
				return err
			} else if m < n && err == nil {
				n = m
			} else if err != nil {
				continue
			}
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// chown gives name in d its owner; without a system call if it has it by being made.
func (a *applier) chown(d *dir, name string, uid, gid uint32) error {
	u, g, err := a.owners.of(uid, gid)
	if err != nil {
		return err
	}
	if u == a.owners.uid && g == a.owners.gid && !d.setgid {
		return nil
	}
	return a.chownError(uid, gid, unix.Fchownat(d.fd, name, u, g, unix.AT_SYMLINK_NOFOLLOW))
}

func (a *applier) chownError(uid, gid uint32, err error) error {
	if err == unix.EPERM || err == unix.EINVAL {
		return ownerError("", uid, gid, err)
	}
	return err
}

// fileAttributes gives an open regular file its owner, mode, xattrs and time. The order matters:
// chown clears setuid bits and capabilities, so modes come after it and the capability last.
func (a *applier) fileAttributes(d *dir, name string, fd int, e *entry) error {
	if err := a.ownAndMode(fd, e, d.setgid, e.mode&0o777&^a.umask); err != nil {
		return err
	}
	if err := a.setXattrs(fd, e); err != nil {
		return err
	}
	return setTimes(d.fd, name, timespec(e.mtime))
}

// nameless is fileAttributes for a file without a name, made with mode 0600.
func (a *applier) nameless(fd int, e *entry) error {
	if err := a.ownAndMode(fd, e, true, 0o600); err != nil {
		return err
	}
	if err := a.setXattrs(fd, e); err != nil {
		return err
	}
	ts := timespec(e.mtime)
	return unix.UtimesNanoAt(unix.AT_FDCWD, procFD(fd), []unix.Timespec{ts, ts}, 0)
}

// ownAndMode sets owner and mode where they differ from what the file was made with.
func (a *applier) ownAndMode(fd int, e *entry, inherits bool, mode uint32) error {
	u, g, err := a.owners.of(e.uid, e.gid)
	if err != nil {
		return err
	}
	if u != a.owners.uid || g != a.owners.gid || inherits {
		if err := a.chownError(e.uid, e.gid, unix.Fchown(fd, u, g)); err != nil {
			return err
		}
	}
	if e.mode == mode {
		return nil
	}
	return unix.Fchmod(fd, e.mode)
}

// attributes gives a symbolic link, a device or a FIFO its owner, mode, xattrs and time, following nothing.
func (a *applier) attributes(d *dir, name string, e *entry) error {
	if err := a.chown(d, name, e.uid, e.gid); err != nil {
		return err
	}
	if e.kind != symlink && (e.mode&a.umask != 0 || e.mode&0o7000 != 0) {
		if err := chmodNoFollow(d.fd, name, e.mode); err != nil {
			return err
		}
	}
	if len(e.xattrs) > 0 {
		fd, err := unix.Openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = a.setXattrs(fd, e)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return setTimes(d.fd, name, timespec(e.mtime))
}

// chmodNoFollow changes the mode of what is not open, such as a device, which to open could act.
func chmodNoFollow(dirfd int, name string, mode uint32) error {
	err := unix.Fchmodat(dirfd, name, mode, unix.AT_SYMLINK_NOFOLLOW) // fchmodat2, Linux 6.6
	if err != unix.EOPNOTSUPP {
		return err
	}
	fd, err := unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod(procFD(fd), mode)
}

// setTimes sets mtime and atime of name in a directory, following nothing. A time that the file
// system cannot hold is clamped by the kernel.
func setTimes(dirfd int, name string, t unix.Timespec) error {
	return unix.UtimesNanoAt(dirfd, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

// timespec converts a time; unlike time.Time.UnixNano it does not end in the year 2262.
func timespec(t time.Time) unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil { // seconds of 32 bits, on some machines
		return unix.Timespec{}
	}
	return ts
}

// procFD names a descriptor as a path, for calls that take no O_PATH descriptor. It leads to the
// very file that is open, whatever became of its name.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
