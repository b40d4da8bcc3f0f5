package layout

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// TryLock takes the lock if it can be had at once, and tells whether it could. A lock of Windows
// keeps others from the bytes that it is on, so it is put on one that no file has. A directory cannot
// be locked there: for one it is as if nobody else was at work.
func TryLock(f *os.File, kind LockKind) (bool, error) {
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return err == nil, err
	}
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if kind == Exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	at := windows.Overlapped{Offset: 0xfffffffe, OffsetHigh: 0x7fffffff}
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "LockFileEx", Path: f.Name(), Err: err}
	}
	return true, nil
}
