package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/oci-pipeline/oci/image/internal/layout"
)

// Hold keeps Prune away: while one is held, by any process, nothing is deleted. A transfer holds
// from its first look at what is there (Has) until its result has a name (Tag), since in between
// nothing tells that its blobs are wanted. The death of the process releases it.
type Hold struct{ release func() }

// Hold takes a hold, waiting for a Prune that is at work. In a store that is open for reading it does
// nothing.
func (s *Store) Hold(ctx context.Context) (*Hold, error) {
	if s.o.ReadOnly {
		return &Hold{func() {}}, nil
	}
	unlock, err := s.lock(ctx, storeLock, layout.Shared)
	if err != nil {
		return nil, failed("hold store", s.path, err)
	}
	return &Hold{unlock}, nil
}

// Release ends the hold. A second call does nothing.
func (h *Hold) Release() {
	if h != nil && h.release != nil {
		h.release()
		h.release = nil
	}
}

// lock locks one of the lock files and gives the function that unlocks it.
func (s *Store) lock(ctx context.Context, name string, kind layout.LockKind) (unlock func(), err error) {
	f, err := s.dir.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if kind == layout.Shared && errors.Is(err, syscall.EROFS) {
		// Who looks at a store that cannot be written here is kept from no more than the lock is for:
		// another host, or another mount, may write it.
		f, err = s.dir.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return func() {}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := layout.Lock(ctx, f, kind); err != nil {
		f.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%s): %w", ErrBusy, name, err)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
