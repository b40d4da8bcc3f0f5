package cdi

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var errNoDevice = errors.New("it is no device")

// statDevice asks about a node itself: what a link stands for has another name, as CDI's library has it.
func statDevice(path string) (deviceInfo, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return deviceInfo{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	kind := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFIFO:
		kind = "p"
	default:
		return deviceInfo{}, &os.PathError{Op: "stat", Path: path, Err: errNoDevice}
	}
	number := uint64(st.Rdev) //nolint:unconvert // it is narrower on other machines
	return deviceInfo{kind, int64(unix.Major(number)), int64(unix.Minor(number)), os.FileMode(st.Mode & 0o7777)}, nil
}
