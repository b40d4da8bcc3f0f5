package convert

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Root is a Rootfs on disk, held by a descriptor of its directory.
type Root struct{ dir *os.File }

// OpenRoot opens the directory at path.
func OpenRoot(path string) (*Root, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &Root{os.NewFile(uintptr(fd), path)}, nil
}

// NewRoot takes a directory that is open already: a detached mount will do. The caller keeps dir.
func NewRoot(dir *os.File) *Root { return &Root{dir} }

// Close closes the directory.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens a regular file. The kernel resolves all links inside the root, and the file is looked
// at before it is opened: opening a FIFO blocks, opening a device acts on it.
func (r *Root) Open(name string) (io.ReadCloser, error) {
	fd, err := unix.Openat2(int(r.dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.6, or an old seccomp profile
		return r.openSlow(name)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &os.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if st.Size > MaxUserFile {
		return nil, &os.PathError{Op: "open", Path: name, Err: fmt.Errorf("%d bytes, at most %d are read", st.Size, MaxUserFile)}
	}
	return os.Open("/proc/self/fd/" + strconv.Itoa(fd))
}

// openSlow is stricter: a link to an absolute path is an error.
func (r *Root) openSlow(name string) (io.ReadCloser, error) {
	return openInRoot("/proc/self/fd/"+strconv.Itoa(int(r.dir.Fd())), name)
}
