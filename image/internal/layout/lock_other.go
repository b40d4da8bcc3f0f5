//go:build !linux && !darwin

package layout

import (
	"errors"
	"os"
)

// TryLock is not available here.
func TryLock(*os.File, LockKind) (bool, error) { return false, errors.ErrUnsupported }
