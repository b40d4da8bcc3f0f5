//go:build !linux && !darwin && !windows

package layout

import (
	"errors"
	"os"
)

// TryLock is not available here.
func TryLock(*os.File, LockKind) (bool, error) { return false, errors.ErrUnsupported }
