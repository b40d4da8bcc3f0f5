package runtime

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// maxLinks is how many symbolic links are followed in one path, as in the kernel (path_resolution(7)).
const maxLinks = 40

// resolver gives the plan the means to say where a missing mount point is to be made when the image has a link there that leads to
// nothing: /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf is in many images. done closes what it opened.
func (c *creation) resolver(h *plan.Host) (done func(), err error) {
	root := -1
	if c.Rootfs != nil {
		root = int(c.Rootfs.Fd())
	} else if root, err = unix.Open(c.state.Rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES) {
			return func() {}, nil // the plan will fail there, with its name
		}
		return nil, err
	}
	h.Resolve = func(dest string) string { return resolveInRoot(root, dest) }
	return func() {
		if c.Rootfs == nil {
			unix.Close(root)
		}
	}, nil
}

// resolveInRoot follows the links of dest below root, as if root were /, and returns a path without them; parts that do not exist stay as they are.
// The answer is a proposal: between now and its use the tree may change, and the kernel resolves it again, inside the root.
func resolveInRoot(root int, dest string) string {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	if fd, err := unix.Openat2(root, dest, &how); !errors.Is(err, unix.ENOENT) {
		if err == nil {
			unix.Close(fd)
		}
		return dest // it exists, or the failure is not ours to explain
	}
	todo, have := strings.Split(dest, "/"), ""
	buf := make([]byte, unix.PathMax)
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			have = strings.TrimPrefix(path.Dir("/"+have), "/")
			continue
		}
		next := path.Join(have, name)
		target, ok := readLink(root, next, buf)
		if !ok {
			have = next
			continue
		}
		if links++; links > maxLinks {
			return dest
		}
		if strings.HasPrefix(target, "/") {
			have = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	if have == "" {
		return dest
	}
	return have
}

// readLink reads a symbolic link below root.
func readLink(root int, name string, buf []byte) (string, bool) {
	how := unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(root, name, &how)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", false
	}
	return string(buf[:n]), true
}
