package unpack

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// resolve opens name as a process chrooted to the root would, with O_PATH.
func (r *Root) resolve(name string) (int, error) {
	if !r.openat2 || len(name) >= unix.PathMax {
		return r.resolveByHand(name)
	}
	name = strings.TrimLeft(name, "/")
	if name == "" {
		name = "."
	}
	return retry(func() (int, error) {
		return unix.Openat2(r.top.fd, name, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
	})
}

// resolveByHand is resolve for kernels without openat2, and for names longer than the kernel takes.
// The directories that were passed are kept open, so that ".." leads where the walk came from
// and never above the root, also when someone moves directories meanwhile.
func (r *Root) resolveByHand(name string) (int, error) {
	stack := []int{r.top.fd}
	defer func() {
		for _, fd := range stack[1:] {
			unix.Close(fd)
		}
	}()
	for links := 0; ; {
		var comp string
		comp, name, _ = strings.Cut(strings.TrimLeft(name, "/"), "/")
		cur := stack[len(stack)-1]
		switch comp {
		case "":
			return unix.Openat(cur, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
		case ".":
			continue
		case "..":
			if len(stack) > 1 {
				unix.Close(cur)
				stack = stack[:len(stack)-1]
			}
			continue
		}
		fd, err := retry(func() (int, error) {
			return unix.Openat(cur, comp, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			return -1, err
		}
		target, err := readlink(fd, "")
		switch {
		case err == nil:
			unix.Close(fd)
			if links++; links > maxLinks {
				return -1, unix.ELOOP
			}
			if strings.HasPrefix(target, "/") {
				for _, fd := range stack[1:] {
					unix.Close(fd)
				}
				stack = stack[:1]
			}
			name = target + "/" + name
		case strings.Trim(name, "/") == "":
			return fd, nil
		default:
			stack = append(stack, fd)
		}
		if len(stack) > 1024 {
			return -1, unix.ENAMETOOLONG
		}
	}
}

// Open opens a regular file for reading. name is resolved inside the root: absolute symbolic links
// and ".." stay in it. Anything but a regular file is refused without being opened: to open a
// device or a FIFO can act. The file is O_CLOEXEC.
func (r *Root) Open(name string) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, &Error{Op: "open", Subject: name, Err: err}
	}
	fd, err := r.resolve(name)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fail(fmt.Errorf("%w: not a regular file", fs.ErrInvalid))
	}
	file, err := openfd.Reopen(fd, unix.O_RDONLY)
	if err != nil {
		return fail(err)
	}
	return os.NewFile(uintptr(file), name), nil
}

// readlink reads the symbolic link name in fd, or fd itself if name is "": EINVAL if it is none.
func readlink(fd int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, buf)
	if err == unix.ENOENT && name == "" {
		err = unix.EINVAL // what the kernel says of a descriptor that is no link
	}
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// retry repeats an open that a signal or a racing rename interrupted.
func retry(open func() (int, error)) (int, error) {
	for range maxRetries {
		fd, err := open()
		if !isErrno(err, unix.EINTR, unix.EAGAIN) {
			return fd, err
		}
	}
	return -1, &Error{Op: "resolve", Clause: spec.Clause{}, Err: fmt.Errorf("%w: directories are being moved all the time", ErrUnsafePath)}
}
