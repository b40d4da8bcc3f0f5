package repack

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/internal/isocrc"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// files reads the files of a root file system in the order of a layer. The directories on the way to the
// last one stay open: names are never joined, no symbolic link is followed.
type files struct {
	names []string // of the open directories
	fds   []int    // fds[0] is the root; one more than names
	buf   []byte
}

func openFiles(dir *os.File) (*files, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &files{fds: []int{fd}, buf: make([]byte, 256<<10)}, nil
}

func (f *files) close() { f.leave(0) }

// leave closes all but the first n directories.
func (f *files) leave(n int) {
	for _, fd := range f.fds[n:] {
		unix.Close(fd)
	}
	f.fds, f.names = f.fds[:n], f.names[:max(n-1, 0)]
}

// enter opens the directory that path is in.
func (f *files) enter(path string) (int, error) {
	var want []string
	if d := dir(path); d != "" {
		want = strings.Split(d, "/")
	}
	same := 0
	for same < len(want) && same < len(f.names) && want[same] == f.names[same] {
		same++
	}
	f.leave(same + 1)
	for _, name := range want[same:] {
		fd, err := unix.Openat(f.fds[len(f.fds)-1], name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, gone(err)
		}
		f.fds, f.names = append(f.fds, fd), append(f.names, name)
	}
	return f.fds[len(f.fds)-1], nil
}

// gone tells that a name which was there is not, or is something else.
func gone(err error) error {
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// open opens a regular file, which must be the one that n describes.
func (f *files) open(path string, n *tree.Node) (*os.File, error) {
	parent, err := f.enter(path)
	if err != nil {
		return nil, err
	}
	handle, err := unix.Openat(parent, base(path), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, gone(err)
	}
	defer unix.Close(handle)
	if err := check(handle, n); err != nil { // before it is opened: to open a device can act
		return nil, err
	}
	fd, err := openfd.Reopen(handle, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// copy writes the content of a regular file, which must be the one that n describes, before and after.
func (f *files) copy(ctx context.Context, w io.Writer, path string, n *tree.Node) error {
	file, err := f.open(path, n)
	if err != nil {
		return err
	}
	defer file.Close()
	var sum digest.Digester
	if n.Digest != "" {
		sum = digest.SHA256.Digester()
		w = io.MultiWriter(w, sum.Hash())
	}
	// The size is in the header: neither more nor less is taken.
	got, err := io.CopyBuffer(onlyWriter{w}, io.LimitReader(openfd.Reader(ctx, file), n.Size), f.buf)
	if err != nil {
		return err
	}
	if got != n.Size {
		return fmt.Errorf("%w: %d bytes of %d", ErrChanged, got, n.Size)
	}
	if sum != nil && sum.Digest() != n.Digest {
		return fmt.Errorf("%w: its content has another digest", ErrChanged)
	}
	return check(int(file.Fd()), n)
}

// sum gives the CRC-64 of a regular file's content.
func (f *files) sum(ctx context.Context, path string, n *tree.Node) (uint64, error) {
	sum := isocrc.New()
	err := f.copy(ctx, sum, path, n)
	return sum.Sum64(), err
}

// check compares what can be seen of an open file with what was seen when the tree was read.
func check(fd int, n *tree.Node) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%w: it is no regular file any more", ErrChanged)
	case st.Size != n.Size:
		return fmt.Errorf("%w: it has %d bytes, and had %d", ErrChanged, st.Size, n.Size)
	case st.Mtim.Sec != n.Sec || st.Mtim.Nsec != int64(n.Nsec):
		return fmt.Errorf("%w: its modification time is another", ErrChanged)
	}
	return nil
}

// onlyWriter hides the methods by which io.Copy would go round the buffer, one allocated a file otherwise.
type onlyWriter struct{ io.Writer }
