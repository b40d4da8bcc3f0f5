//go:build !linux

package mtree

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// OfDir reads directories on Linux only.
func OfDir(_ context.Context, dir *os.File, _ bool) (*File, error) {
	return nil, fmt.Errorf("%s: %w", dir.Name(), errors.ErrUnsupported)
}
