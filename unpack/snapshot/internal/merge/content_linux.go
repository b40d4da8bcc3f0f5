package merge

import (
	"context"
	"io"

	"golang.org/x/sys/unix"
)

// errnos that say that a way to copy is not to be had for two files, not that the copy failed. EPERM is
// what seccomp filters of container engines say to calls that they do not know.
func notPossible(err error) bool {
	switch err { //nolint:errorlint // errnos, as system calls give them
	case unix.EOPNOTSUPP, unix.EXDEV, unix.EINVAL, unix.ENOTTY, unix.ENOSYS, unix.EPERM, unix.EBADF, unix.ETXTBSY:
		return true
	}
	return false
}

// content copies the content of one open file to another, which is empty.
func (c *copier) content(src, dst int, st *unix.Stat_t) error {
	if st.Size == 0 {
		return nil
	}
	if c.o.Share && !c.noClone[st.Dev] {
		err := unix.IoctlFileClone(dst, src)
		switch {
		case err == nil:
			c.result.Shared += st.Size
			return nil
		case err == unix.EOPNOTSUPP || err == unix.EXDEV || err == unix.ENOTTY || err == unix.ENOSYS:
			c.noClone[st.Dev] = true // the file systems cannot, whatever the file
		case err == unix.ENOSPC: // XFS has a table of shared blocks in each part of the disk, which can be full by itself
		case !notPossible(err):
			return err
		}
	}
	if st.Blocks*512 < st.Size {
		return c.sparse(src, dst, st.Size)
	}
	return c.data(src, dst, 0, st.Size)
}

// sparse copies what lies between holes.
func (c *copier) sparse(src, dst int, size int64) error {
	for off := int64(0); off < size; {
		start, err := unix.Seek(src, off, unix.SEEK_DATA)
		if err == unix.ENXIO { // the rest is a hole
			break
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(src, start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := c.data(src, dst, start, end-start); err != nil {
			return err
		}
		off = end
	}
	return unix.Ftruncate(dst, size)
}

// data copies n bytes from off on, to the same place.
func (c *copier) data(src, dst int, off, n int64) error {
	c.result.Copied += n
	end := off + n
	for from, to := off, off; c.o.Share && !c.noRange && from < end; { // which shares blocks too, where it can
		if err := c.ctx.Err(); err != nil {
			return context.Cause(c.ctx)
		}
		m, err := unix.CopyFileRange(src, &from, dst, &to, int(min(end-from, rangeCopy)), 0)
		switch {
		case err == unix.EINTR:
		case err != nil && notPossible(err):
			c.noRange = err == unix.ENOSYS || err == unix.EPERM
			return c.readWrite(src, dst, from, end)
		case err != nil:
			return err
		case m == 0: // it was cut short, or the kernel does not see the size of its own files (procfs)
			return c.readWrite(src, dst, from, end)
		}
		off = from
	}
	return c.readWrite(src, dst, off, end)
}

const (
	// copyBuffer is how much is read at once.
	copyBuffer = 256 << 10
	// rangeCopy is how much the kernel copies at once: less than a second's work, after which the context is asked.
	rangeCopy = 64 << 20
)

func (c *copier) readWrite(src, dst int, off, end int64) error {
	if off < end && c.buf == nil {
		c.buf = make([]byte, copyBuffer)
	}
	for off < end {
		if err := c.ctx.Err(); err != nil {
			return context.Cause(c.ctx)
		}
		n, err := unix.Pread(src, c.buf[:min(int64(len(c.buf)), end-off)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		for b := c.buf[:n]; len(b) > 0; {
			m, err := unix.Pwrite(dst, b, off)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			b, off = b[m:], off+int64(m)
		}
	}
	return nil
}
