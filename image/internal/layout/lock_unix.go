//go:build linux || darwin

package layout

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// TryLock takes the lock if it can be had at once, and tells whether it could.
func TryLock(f *os.File, kind LockKind) (bool, error) {
	how := unix.LOCK_SH
	if kind == Exclusive {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
