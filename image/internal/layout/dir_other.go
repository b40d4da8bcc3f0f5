//go:build !linux

package layout

import (
	"io/fs"
	"os"
	"path"
)

// openNoFollow opens name below d. os.Root keeps it inside; that no link was followed is seen by
// looking at each component before, and at the file after.
func (d *Dir) openNoFollow(name string, flag int, perm fs.FileMode) (*os.File, error) {
	for p := name; p != "."; p = path.Dir(p) {
		info, err := d.root.Lstat(p)
		switch {
		case err != nil && flag&os.O_CREATE != 0:
		case err != nil:
			return nil, err
		case p == name && !info.Mode().IsRegular(), p != name && !info.IsDir():
			return nil, ErrNotRegular
		}
	}
	f, err := d.root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	before, err := d.root.Lstat(name)
	if err == nil {
		var after fs.FileInfo
		if after, err = f.Stat(); err == nil && !os.SameFile(before, after) {
			err = ErrNotRegular
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
