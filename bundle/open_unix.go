//go:build unix

package bundle

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openNoFollow opens a file for reading. A symbolic link as the last component is refused: the
// bundle's maker could point it at any file of whoever loads the bundle. O_NONBLOCK keeps a FIFO
// from blocking the open until somebody writes to it.
func openNoFollow(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: %w", ErrNotRegular, err)
	}
	return f, err
}
