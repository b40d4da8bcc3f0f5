package overlay

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Unavailable tells whether err of Mount says that there is no overlay mount to be had here, of this kind or
// for these directories, so that to try again is of no use: the kernel has no overlayfs or no idmapped mounts, a user
// namespace must not mount it (Linux before 5.11), a security module or a seccomp filter forbids it, the file system of the
// upper directory or of a layer cannot serve, the layers are too many.
func Unavailable(err error) bool {
	for _, e := range []error{
		unix.ENODEV, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EINVAL, unix.EOPNOTSUPP, unix.EXDEV, unix.ELOOP,
		unix.EROFS, unix.ESTALE, unix.EOVERFLOW, errTooLong,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
