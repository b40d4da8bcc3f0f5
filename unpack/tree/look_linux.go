package tree

import "golang.org/x/sys/unix"

// inode names a file.
type inode struct{ dev, ino uint64 }

// seen is what is to be seen of a file without opening it.
type seen struct {
	inode
	mode, uid, gid, major, minor uint32
	links                        uint64
	size, sec                    int64
	nsec                         int32
	// mounted says that something is mounted there; always false where only statx tells (before Linux 5.8).
	mounted bool
}

// lookAt is fstatat(2), which also tells mounts, on files as on directories (statx(2), STATX_ATTR_MOUNT_ROOT).
func lookAt(dirfd int, name string, flags int) (seen, error) {
	var x unix.Statx_t
	err := unix.Statx(dirfd, name, flags, unix.STATX_BASIC_STATS, &x)
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 4.11, or a seccomp filter that does not know it
		return lookOld(dirfd, name, flags)
	}
	return seen{
		inode: inode{unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino},
		mode:  uint32(x.Mode), uid: x.Uid, gid: x.Gid, major: x.Rdev_major, minor: x.Rdev_minor,
		links: uint64(x.Nlink), size: int64(x.Size), sec: x.Mtime.Sec, nsec: int32(x.Mtime.Nsec),
		mounted: x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}, err
}

func lookOld(dirfd int, name string, flags int) (seen, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dirfd, name, &st, flags)
	return seen{
		inode: inode{st.Dev, st.Ino}, mode: st.Mode, uid: st.Uid, gid: st.Gid,
		major: unix.Major(st.Rdev), minor: unix.Minor(st.Rdev),
		links: uint64(st.Nlink), size: st.Size, sec: st.Mtim.Sec, nsec: int32(st.Mtim.Nsec), //nolint:unconvert // they are narrower on other machines
	}, err
}
