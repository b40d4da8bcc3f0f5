//go:build !linux

package layout

import "errors"

// swap is not available here.
func (d *Dir) swap(string, string) error { return errors.ErrUnsupported }
