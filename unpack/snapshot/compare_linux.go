package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// changedSince gives a path of a layer's directory that was changed after the record was written, "" if none was.
// Nothing but this program writes there, and it writes the record last.
func changedSince(ctx context.Context, dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, markerFile), &st); err != nil {
		return "", err
	}
	at := st.Ctim
	errChanged := errors.New("changed")
	changed := ""
	err := walkTree(ctx, filepath.Join(dir, filesDir), func(_ int, path string, st *unix.Stat_t) error {
		if st.Ctim.Sec > at.Sec || st.Ctim.Sec == at.Sec && st.Ctim.Nsec > at.Nsec {
			changed = "/" + path
			return errChanged
		}
		return nil
	})
	if changed != "" {
		return changed, nil
	}
	return "", err
}

// walkTree gives each file below dir, dir itself first, by the descriptor of the directory that has
// it and its path below dir. Links are not followed.
func walkTree(ctx context.Context, dir string, each func(parent int, path string, st *unix.Stat_t) error) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	if err := each(fd, "", &st); err != nil {
		unix.Close(fd)
		return err
	}
	return walkDir(ctx, os.NewFile(uintptr(fd), dir), "", each)
}

// walkDir walks the directory f, which it closes.
func walkDir(ctx context.Context, f *os.File, path string, each func(int, string, *unix.Stat_t) error) error {
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		fd, sub := int(f.Fd()), strings.TrimPrefix(path+"/"+n, "/")
		var st unix.Stat_t
		err := unix.Fstatat(fd, n, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			err = each(fd, sub, &st)
		}
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			var next int
			if next, err = unix.Openat(fd, n, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
				err = walkDir(ctx, os.NewFile(uintptr(next), sub), sub, each)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// diskUsage gives what a directory takes on disk, as far as it can be read.
func diskUsage(ctx context.Context, dir string) (n int64) {
	_ = walkTree(ctx, dir, func(_ int, _ string, st *unix.Stat_t) error {
		bytes := st.Blocks * 512
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			bytes /= max(1, int64(st.Nlink)) //nolint:unconvert // it is narrower on other machines
		}
		n += bytes
		return nil
	})
	return n
}

// leaf is a file of a tree and what it is, but for its content.
type leaf struct {
	mode, uid, gid uint32
	size           int64
	mtime          unix.Timespec
	rdev, nlink    uint64
	link           string
	xattrs         string
}

// sameTree compares two directories in everything that a layer can say.
func sameTree(ctx context.Context, got, want string) error {
	wanted := map[string]leaf{}
	err := walkTree(ctx, want, func(parent int, path string, st *unix.Stat_t) (err error) {
		wanted[path], err = leafOf(parent, path, st)
		return err
	})
	if err != nil {
		return &localError{err}
	}
	err = walkTree(ctx, got, func(parent int, path string, st *unix.Stat_t) error {
		l, err := leafOf(parent, path, st)
		if err != nil {
			return err
		}
		w, ok := wanted[path]
		switch {
		case !ok:
			return fmt.Errorf("%.200q is not of the layer", "/"+path)
		case l != w:
			return fmt.Errorf("%.200q has other attributes", "/"+path)
		}
		delete(wanted, path)
		if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > 0 {
			return sameContent(parent, path, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for path := range wanted {
		return fmt.Errorf("%.200q is gone", "/"+path)
	}
	return nil
}

// openBase opens the last component of a path in its directory, without following it.
func openBase(parent int, path string, flags int) (int, error) {
	_, base := cut(path)
	if base == "" {
		base = "."
	}
	return unix.Openat(parent, base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func leafOf(parent int, path string, st *unix.Stat_t) (leaf, error) {
	l := leaf{mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim, rdev: st.Rdev}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR { // sizes and links of directories are the file system's
		l.size, l.nlink = st.Size, uint64(st.Nlink)
	}
	fd, err := openBase(parent, path, unix.O_PATH)
	if err != nil {
		return l, err
	}
	f := &merge.File{FD: fd}
	defer f.Close()
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf)
		l.link = string(buf[:max(n, 0)])
		return l, err
	}
	list, err := f.Xattrs()
	if err != nil {
		return l, err
	}
	opaque, err := f.IsOpaque()
	l.xattrs = fmt.Sprintf("%q %v", list, opaque)
	return l, err
}

// sameContent compares a file with the one of the same path below dir.
func sameContent(parent int, path, dir string) error {
	fd, err := openBase(parent, path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	got := os.NewFile(uintptr(fd), path)
	defer got.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return &localError{err}
	}
	defer root.Close()
	want, err := root.Open(path)
	if err != nil {
		return &localError{err}
	}
	defer want.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(got, a)
		m, errWant := io.ReadFull(want, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return fmt.Errorf("%.200q has other content", "/"+path)
		}
		if err != nil || errWant != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
	}
}
