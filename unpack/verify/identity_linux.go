package verify

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// identify names an open directory.
func identify(dir *os.File) (identity, error) {
	var st unix.Statx_t
	const mask = unix.STATX_INO | unix.STATX_BTIME | unix.STATX_TYPE
	if err := unix.Statx(int(dir.Fd()), "", unix.AT_EMPTY_PATH, mask, &st); err != nil {
		return identity{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return identity{}, unix.ENOTDIR
	}
	id := identity{Inode: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.Sec, id.Nsec = st.Btime.Sec, st.Btime.Nsec
	} else {
		id.Device = unix.Mkdev(st.Dev_major, st.Dev_minor)
	}
	return id, nil
}

// handleOf gives the kernel's own lasting name of a directory (name_to_handle_at(2)), "" where the file system has none.
func handleOf(dir *os.File) string {
	h, _, err := unix.NameToHandleAt(int(dir.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return ""
	}
	var b bytes.Buffer
	t := uint32(h.Type())
	b.Write([]byte{byte(t >> 24), byte(t >> 16), byte(t >> 8), byte(t)})
	b.Write(h.Bytes())
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// present tells whether the directory of the record exists: at its path, or elsewhere on the file system of its path.
func (r *Record) present() bool {
	if r.is(unix.Open(r.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)) {
		return true
	}
	raw, err := base64.StdEncoding.DecodeString(r.Handle)
	if err != nil || len(raw) < 4 {
		return false
	}
	h := unix.NewFileHandle(int32(uint32(raw[0])<<24|uint32(raw[1])<<16|uint32(raw[2])<<8|uint32(raw[3])), raw[4:])
	for dir := filepath.Dir(r.Path); ; dir = filepath.Dir(dir) {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			found := r.is(unix.OpenByHandleAt(fd, h, unix.O_PATH|unix.O_CLOEXEC))
			unix.Close(fd)
			return found
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

// is tells whether an open of a directory gave the one of the record, and that it is in the file system still. It closes fd.
func (r *Record) is(fd int, err error) bool {
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), r.Path)
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Nlink == 0 {
		return false
	}
	id, err := identify(f)
	return err == nil && id == r.Identity
}

// lockDir locks a directory as long as it is open: errLocked if another process has it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			err = errLocked
		}
		return nil, err
	}
	return f, nil
}
