package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// errBusy is a target that another process is filling.
var errBusy = errors.New("another process is writing it")

// publish makes dir by fill, whole or not at all: fill gets the path of an empty directory beside
// dir, which becomes dir when fill has succeeded. What a killed process left there is removed by
// the next one; a lock tells the two apart. dir must be absent or an empty directory. Where nothing
// can be made beside dir, as when dir is a mount point, fill gets dir itself.
func publish(dir string, fill func(partial string) error) error {
	dir = filepath.Clean(dir)
	if err := absentOrEmpty(dir); err != nil {
		return err
	}
	partial := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".partial")
	unlock, err := claim(partial)
	if err == nil && mountPoint(dir) {
		if err := errors.Join(os.Remove(partial), unlock()); err != nil {
			return fmt.Errorf("write %s: %w", dir, err)
		}
		return fill(dir)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fill(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	defer unlock()
	if err := fill(partial); err != nil {
		return errors.Join(rename(err, partial, dir), removePartial(partial))
	}
	if err := unix.Rename(partial, dir); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", dir, err), removePartial(partial))
	}
	return nil
}

// absentOrEmpty refuses a directory that has something in it.
func absentOrEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("write %s: %w", dir, err)
	case len(entries) > 0:
		return &exitError{statusStorage, fmt.Errorf("write %s: target exists and is not an empty directory", dir)}
	}
	return nil
}

// claim makes an empty directory at path and locks it. The lock goes with the process.
func claim(path string) (unlock func() error, err error) {
	for {
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			f.Close()
			return nil, errBusy
		}
		entries, _ := f.ReadDir(1) // an error is that of an empty directory, io.EOF
		if len(entries) == 0 && stillNamed(f, path) {
			return f.Close, nil
		}
		// Left by a process that was killed, or renamed away by one that has just ended.
		if stillNamed(f, path) {
			err = removePartial(path)
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// removePartial removes what was written. Images fill it: it is emptied by descriptor, also where a mode
// keeps its owner out, and no mount in it is crossed.
func removePartial(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := unpack.RootOf(f)
	if err != nil {
		return err
	}
	if err := errors.Join(root.RemoveContents(), root.Close()); err != nil {
		return err
	}
	return os.Remove(path)
}

func stillNamed(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// mountPoint tells whether dir lies on another file system than the directory it is in.
func mountPoint(dir string) bool {
	var d, p unix.Stat_t
	return unix.Lstat(dir, &d) == nil && unix.Lstat(filepath.Dir(dir), &p) == nil && d.Dev != p.Dev
}

// renamed is an error in whose text the working name of a directory gives way to its real one.
type renamed struct {
	error
	from, to string
}

func rename(err error, from, to string) error { return &renamed{err, from, to} }

func (r *renamed) Error() string { return strings.ReplaceAll(r.error.Error(), r.from, r.to) }

// Unwrap gives the error with the working name.
func (r *renamed) Unwrap() error { return r.error }
