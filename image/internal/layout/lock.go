package layout

import (
	"context"
	"os"
	"time"
)

// LockKind says with whom a lock is shared.
type LockKind bool

// The kinds of locks.
const (
	Shared    LockKind = false
	Exclusive LockKind = true
)

// Lock takes an advisory lock on the open file f, waiting until ctx is done. The lock belongs to the
// open file description (flock(2)): it is released by closing f, and by the death of the process.
func Lock(ctx context.Context, f *os.File, kind LockKind) error {
	// flock can wait in the kernel, but not for a context; the waits are short against what is
	// waited for, which is a download or an edit of index.json.
	wait := time.Millisecond
	for {
		ok, err := TryLock(f, kind)
		if ok || err != nil {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
		wait = min(2*wait, 100*time.Millisecond)
	}
}
