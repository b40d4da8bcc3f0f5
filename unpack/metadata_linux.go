package unpack

import (
	"fmt"
	"io"
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

// chown gives what is open, and was just made in d, its owner; without a system call if it has it by
// being made.
func (a *applier) chown(d *dir, fd int, uid, gid uint32) error {
	u, g, err := a.owners.of(uid, gid)
	if err != nil {
		return err
	}
	if u == a.owners.uid && g == a.owners.gid && !d.setgid {
		return nil
	}
	return chownError(uid, gid, u, g, setOwner(fd, u, g))
}

// chownError explains what chown said: uid and gid are the image's, u and g what chown was given.
func chownError(uid, gid uint32, u, g int, err error) error {
	if err == unix.EPERM || err == unix.EINVAL {
		return ownerError(uid, gid, u, g, err)
	}
	return err
}

// fileAttributes gives an open regular file its owner, mode, xattrs and time. The order matters:
// chown clears setuid bits and capabilities, so modes come after it and the capability last.
func (a *applier) fileAttributes(d *dir, fd int, e *entry) error {
	if err := a.ownAndMode(fd, e, d.setgid, e.mode&0o777&^a.umask); err != nil {
		return err
	}
	if err := a.fileXattrs(fd, e); err != nil {
		return err
	}
	return setTimes(fd, timespec(e.mtime))
}

// nameless is fileAttributes for a file without a name, made with mode 0600.
func (a *applier) nameless(fd int, e *entry) error {
	if err := a.ownAndMode(fd, e, true, 0o600); err != nil {
		return err
	}
	if err := a.fileXattrs(fd, e); err != nil {
		return err
	}
	return setTimes(fd, timespec(e.mtime))
}

// ownAndMode sets owner and mode where they differ from what the file was made with.
func (a *applier) ownAndMode(fd int, e *entry, inherits bool, mode uint32) error {
	u, g, err := a.owners.of(e.uid, e.gid)
	if err != nil {
		return err
	}
	if u != a.owners.uid || g != a.owners.gid || inherits {
		if err := chownError(e.uid, e.gid, u, g, unix.Fchown(fd, u, g)); err != nil {
			return err
		}
	}
	if e.mode == mode {
		return nil
	}
	return unix.Fchmod(fd, e.mode)
}

// attributes gives a symbolic link, a device or a FIFO its owner, mode, xattrs and time, without opening
// it for real: to open a device can act.
func (a *applier) attributes(d *dir, name string, format uint32, e *entry) error {
	fd, err := a.root.openMade(d, name, format)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := a.chown(d, fd, e.uid, e.gid); err != nil {
		return err
	}
	if a.owners.kept(e.uid, e.gid) != "" {
		a.leftOut("xattr " + OwnerXattr) // the kernel would refuse it
	}
	if e.kind != symlink && (e.mode&a.umask != 0 || e.mode&0o7000 != 0) {
		if err := setMode(fd, e.mode); err != nil {
			return err
		}
	}
	if err := a.setXattrs(fd, e); err != nil {
		return err
	}
	return setTimes(fd, timespec(e.mtime))
}

// timespec converts a time; unlike time.Time.UnixNano it does not end in the year 2262.
func timespec(t time.Time) unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil { // seconds of 32 bits, on some machines
		return unix.Timespec{}
	}
	return ts
}
