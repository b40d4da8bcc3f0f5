package merge

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// View looks paths up in a stack of layer directories. Paths are taken literally: a symbolic link on the
// way is not followed.
type View struct {
	roots []int // top first
}

// Open opens layer directories that are given base first.
func Open(dirs []string) (*View, error) {
	v := &View{}
	for _, d := range slices.Backward(dirs) {
		fd, err := unix.Open(d, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			v.Close()
			return nil, fmt.Errorf("%s: %w", d, err)
		}
		v.roots = append(v.roots, fd)
	}
	return v, nil
}

// Close closes the directories. A nil view has none.
func (v *View) Close() {
	if v == nil {
		return
	}
	for _, fd := range v.roots {
		unix.Close(fd)
	}
}

// File is a file of a layer, open with O_PATH.
type File struct {
	FD   int
	Stat unix.Stat_t
}

// Close closes the file.
func (f *File) Close() { unix.Close(f.FD) }

// IsDir tells whether it is a directory.
func (f *File) IsDir() bool { return isDir(&f.Stat) }

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// isWhiteout tells whether a file says that there is none (overlayfs.rst, whiteouts and opaque directories).
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// Find gives what the stack shows at path: ENOENT if that is nothing.
func (v *View) Find(path string) (*File, error) {
	for _, root := range v.roots {
		f, stop, err := findIn(root, path)
		if err != nil || f != nil {
			return f, err
		}
		if stop {
			break
		}
	}
	return nil, unix.ENOENT
}

// Hides tells whether a layer directory replaces or hides what those below it have at path.
func Hides(dir, path string) (bool, error) {
	v, err := Open([]string{dir})
	if err != nil {
		return false, err
	}
	defer v.Close()
	f, stop, err := findIn(v.roots[0], path)
	if f != nil {
		f.Close()
		return true, err
	}
	return stop, err
}

// Count tells of how many directories the stack merges the one at path; 0 if there is none.
func (v *View) Count(path string) (int, error) {
	n := 0
	for _, root := range v.roots {
		f, stop, err := findIn(root, path)
		if err != nil {
			return n, err
		}
		if f != nil {
			if f.IsDir() {
				n++
				stop, err = f.isOpaque(stop)
			}
			f.Close()
			if err != nil || !f.IsDir() {
				return n, err
			}
		}
		if stop {
			break
		}
	}
	return n, nil
}

// findIn looks in one layer. stop says that the layer hides what those below have.
func findIn(root int, path string) (f *File, stop bool, err error) {
	fd, err := unix.Openat(root, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	f = &File{FD: fd}
	if err := unix.Fstat(fd, &f.Stat); err != nil || path == "" {
		return f, false, err
	}
	for comp := range strings.SplitSeq(path, "/") {
		if !f.IsDir() {
			f.Close()
			return nil, true, nil // a file where the path needs a directory
		}
		if stop, err = f.isOpaque(stop); err != nil {
			f.Close()
			return nil, false, err
		}
		next, err := unix.Openat(f.FD, comp, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		f.Close()
		if err == unix.ENOENT {
			return nil, stop, nil
		}
		if err != nil {
			return nil, false, err
		}
		f.FD = next
		if err := unix.Fstat(next, &f.Stat); err != nil {
			f.Close()
			return nil, false, err
		}
	}
	if isWhiteout(&f.Stat) {
		f.Close()
		return nil, true, nil
	}
	return f, stop, nil
}

// isOpaque tells whether a directory, or one above it, hides what lower layers have in it.
func (f *File) isOpaque(above bool) (bool, error) {
	if above {
		return true, nil
	}
	return f.IsOpaque()
}

// IsOpaque tells whether a directory hides what lower layers have in it.
func (f *File) IsOpaque() (bool, error) { return opaque(openfd.Path(f.FD)) }

func opaque(path string) (bool, error) {
	var y [1]byte
	for _, name := range []string{"trusted.overlay.opaque", "user.overlay.opaque"} {
		n, err := unix.Getxattr(path, name, y[:])
		switch {
		case err == nil:
			return n == 1 && y[0] == 'y', nil
		case err != unix.ENODATA && err != unix.ENOTSUP && err != unix.EPERM:
			return false, err
		}
	}
	return false, nil
}
