package layout

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// swap exchanges two files in the directory itself, at once (renameat2(2), RENAME_EXCHANGE). It gives
// errors.ErrUnsupported where the file system cannot do that.
func (d *Dir) swap(a, b string) error {
	fd := int(d.self.Fd())
	err := unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
