package convert

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxDevices bounds what a directory of devices may hold.
const maxDevices = 4096

// hostDevices describes the device at source, or all devices below it if it is a directory, as
// nodes at dest.
func hostDevices(source, dest string) ([]specs.LinuxDevice, error) {
	source, err := filepath.EvalSymlinks(source)
	if err != nil {
		return nil, err
	}
	var out []specs.LinuxDevice
	err = filepath.WalkDir(source, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && source == "/dev" && slices.Contains([]string{"/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue"}, p):
			return fs.SkipDir
		case e.Type()&fs.ModeDevice == 0 || p == "/dev/console":
			return nil
		case len(out) == maxDevices:
			return fmt.Errorf("more than %d devices below %s", maxDevices, source)
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		d, err := hostDevice(p, path.Join(dest, rel))
		out = append(out, d)
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s is no device", source)
	}
	return out, err
}

func hostDevice(source, dest string) (specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Lstat(source, &st); err != nil {
		return specs.LinuxDevice{}, &os.PathError{Op: "stat", Path: source, Err: err}
	}
	kind := "c"
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = "b"
	}
	mode := os.FileMode(st.Mode & 0o7777)
	return specs.LinuxDevice{
		Path: dest, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}, nil
}
