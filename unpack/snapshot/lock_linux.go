package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// lock waits for the lock of a name. Locks are flocks on files that stay: the kernel drops the
// lock of a process that dies, and a file that is never removed is the same file for everybody.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		unlock, err := s.tryLock(name)
		if err != unix.EWOULDBLOCK { //nolint:errorlint // tryLock gives errnos of flock as they are
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, &Error{Op: "lock", Subject: name, Err: context.Cause(ctx)}
		case <-time.After(wait):
		}
	}
}

// tryLock takes the lock of a name: EWOULDBLOCK if someone has it.
func (s *Store) tryLock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, locksDir, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, &Error{Op: "lock", Subject: name, Err: err}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, err
		}
		return nil, &Error{Op: "lock", Subject: name, Err: err}
	}
	return func() { f.Close() }, nil
}

// syncFS flushes the file system that dir is on: one call, however many files there are.
func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// removeAll removes a directory with what layers put into it, if it exists, by descriptor: image
// content is never walked by path.
func removeAll(dir string) error {
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		return nil
	}
	root, err := unpack.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = root.RemoveContents()
	root.Close()
	if err != nil {
		return err
	}
	return os.Remove(dir)
}
