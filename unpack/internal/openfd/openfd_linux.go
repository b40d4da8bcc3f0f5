package openfd

import (
	"context"
	"io"
	"strconv"

	"golang.org/x/sys/unix"
)

// Path names a descriptor, for calls that take none opened with O_PATH (proc_pid_fd(5)). It leads to the very
// file that is open, whatever became of its name.
func Path(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Reopen opens an O_PATH descriptor for real. Who looks at the file first, and opens it then by this, opens no
// device or FIFO that took its name meanwhile: to open one can act.
func Reopen(fd, flags int) (int, error) {
	return unix.Open(Path(fd), flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
}

// Reader reads from r until ctx ends: a hole of a file can be of any size. It has none of the methods by which
// io.Copy would go round the buffer that it is given.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

// Read implements io.Reader.
func (r reader) Read(b []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
