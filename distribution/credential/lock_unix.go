//go:build unix

package credential

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockTime is how long a change of a file waits for another one: each takes milliseconds.
	lockTime = 10 * time.Second
	lockStep = 5 * time.Millisecond
)

// lock makes changes of files in a directory wait for each other. The directory itself is locked: a
// file of credentials is replaced with every change, and a lock file beside it would stay for ever.
// Where the system knows no locks, or the directory cannot be opened, nobody waits.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}, nil //nolint:nilerr // a directory to search only: what matters is whether it can be written
	}
	for end := time.Now().Add(lockTime); ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			_ = f.Close()
			return func() {}, nil
		case time.Now().After(end):
			_ = f.Close()
			return nil, fmt.Errorf("%w: another process has locked it for %s", ErrFile, lockTime)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(lockStep):
		}
	}
}

// keepOwner gives the new file the owner of the one it replaces: root who logs in with the home of
// somebody else does not take their file away. Whoever may not do that owns it already.
func keepOwner(f *os.File, old fs.FileInfo) {
	if st, ok := old.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
}

// nonblock keeps the opening of a FIFO from waiting.
const nonblock = unix.O_NONBLOCK
