package layout

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openNoFollow opens name below d without following a symbolic link anywhere. O_NONBLOCK keeps the
// open of a FIFO from waiting for a writer (open(2)); for regular files it has no effect.
func (d *Dir) openNoFollow(name string, flag int, perm fs.FileMode) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flag | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flag&os.O_CREATE != 0 {
		how.Mode = uint64(perm.Perm())
	}
	for {
		fd, err := unix.Openat2(int(d.self.Fd()), name, &how)
		switch {
		case err == nil:
			return d.file(fd, name), nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // a rename raced with the lookup
		case errors.Is(err, unix.ELOOP):
			return nil, ErrNotRegular
		case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
			return nil, ErrNotRegular
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // before Linux 5.6, or a filter that does not know it
			return d.openByStep(name, int(how.Flags), uint32(how.Mode))
		default:
			return nil, err
		}
	}
}

// file makes the descriptor an ordinary one again: os.NewFile would start the poller for one that
// does not block.
func (d *Dir) file(fd int, name string) *os.File {
	unix.SetNonblock(fd, false) // fails for no descriptor that was just opened
	return os.NewFile(uintptr(fd), path.Join(d.self.Name(), name))
}

// openByStep does the same with one openat a component, for kernels without openat2.
func (d *Dir) openByStep(name string, flag int, perm uint32) (*os.File, error) {
	at := int(d.self.Fd())
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return nil, unix.EINVAL
		}
		last := i == len(parts)-1
		f, mode := unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(0)
		if last {
			f, mode = flag, perm
		}
		fd, err := unix.Openat(at, part, f, mode)
		if i > 0 {
			unix.Close(at)
		}
		switch {
		case err == nil && last:
			return d.file(fd, name), nil
		case err == nil:
			at = fd
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
			return nil, ErrNotRegular
		default:
			return nil, err
		}
	}
	return nil, unix.EINVAL
}
