package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// lock waits for the lock of a name. Locks are flocks: the kernel drops the lock of a process that
// dies. Only who has the lock of a file removes it, and who gets the lock of one that was removed
// meanwhile takes it for none, so that it is the same file for everybody.
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
	for {
		f, err := os.OpenFile(filepath.Join(s.dir, locksDir, name), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, &Error{Op: "lock", Subject: name, Err: err}
		}
		var st unix.Stat_t
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			err = unix.Fstat(int(f.Fd()), &st)
		}
		if err == nil && st.Nlink > 0 {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, err
		}
		if err != nil {
			return nil, &Error{Op: "lock", Subject: name, Err: err}
		}
	}
}

// dropLock removes the file of a lock, if what it is for is gone and nobody has it.
func (s *Store) dropLock(name string) error {
	unlock, err := s.tryLock(name)
	if err != nil {
		return nil //nolint:nilerr // someone is at work
	}
	defer unlock()
	for _, dir := range s.locked(name) {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			return err
		}
	}
	return os.Remove(filepath.Join(s.dir, locksDir, name))
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
