package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The files of cgroupfs are small and never block: they are read and written by bare system calls,
// three a file, where package os would also register them with its poller.

// retry calls f again while it is interrupted by a signal.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

func open(name string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Open(name, flags|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// writeFile writes a value to an existing file.
func writeFile(name, value string) error {
	fd, err := open(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	err = retry(func() error {
		_, err := unix.Write(fd, []byte(value))
		return err
	})
	_ = unix.Close(fd)
	return err
}

// readFile reads a file of at most max bytes; a longer one gives EFBIG.
func readFile(name string, maxSize int) (string, error) {
	fd, err := open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 4096)
	for {
		var n int
		err := retry(func() error {
			n, err = unix.Read(fd, buf[len(buf):cap(buf)])
			return err
		})
		switch {
		case err != nil:
			return "", err
		case n == 0:
			return string(buf), nil
		}
		if buf = buf[:len(buf)+n]; len(buf) > maxSize {
			return "", unix.EFBIG
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// readShort reads a file of one short line, which comes in one piece.
func readShort(name string) (string, error) {
	fd, err := open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	n := 0
	err = retry(func() error {
		n, err = unix.Read(fd, buf)
		return err
	})
	_ = unix.Close(fd)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(buf[:n])), nil
}

// maxValue bounds the files of cgroupfs: memory.stat with hundreds of lines, io.stat with
// thousands of devices, cgroup.procs with a pid for each of four million processes.
const maxValue = 64 << 20

func readValue(name string) (string, error) {
	s, err := readFile(name, maxValue)
	return strings.TrimSpace(s), err
}

func mkdir(name string) error {
	return retry(func() error { return unix.Mkdir(name, 0o755) })
}

func rmdir(name string) error {
	return retry(func() error { return unix.Rmdir(name) })
}

// children are the groups below dir. A directory's link count tells whether there are any, so a
// leaf is not listed: it may have sixty files.
func children(dir string) ([]string, error) {
	fd, err := open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Nlink == 2 {
		return nil, nil
	}
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return names, nil
		}
		names = directories(buf[:n], names)
	}
}

// directories appends the names of the directories in a buffer of getdents64: struct linux_dirent64
// has the record's length at 16, the type at 18 and the name from 19.
func directories(buf []byte, names []string) []string {
	for len(buf) >= 20 {
		size := int(buf[16]) | int(buf[17])<<8
		if bigEndian {
			size = int(buf[16])<<8 | int(buf[17])
		}
		if size < 20 || size > len(buf) {
			return names
		}
		name, _, _ := strings.Cut(string(buf[19:size]), "\x00")
		if buf[18] == unix.DT_DIR && name != "." && name != ".." {
			names = append(names, name)
		}
		buf = buf[size:]
	}
	return names
}

// walk calls f for dir and every group below, the lower ones first if up. Groups that vanish are
// passed over, and depth bounds what a container can make us follow.
func walk(dir string, up bool, depth int, f func(dir string) error) error {
	if depth == 0 {
		return unix.ELOOP
	}
	if !up {
		if err := f(dir); err != nil {
			return err
		}
	}
	names, err := children(dir)
	if err != nil && err != unix.ENOENT {
		return err
	}
	for _, name := range names {
		if err := walk(dir+"/"+name, up, depth-1, f); err != nil {
			return err
		}
	}
	if up {
		return f(dir)
	}
	return nil
}

// maxDepth is how deep a path within PATH_MAX can be: what a container can build by paths, can be
// removed.
const maxDepth = unix.PathMax / 2

// pidsBelow are the processes in dir and below.
func pidsBelow(dir string) ([]int, error) {
	var pids []int
	err := walk(dir, false, maxDepth, func(d string) error {
		text, err := readFile(d+"/cgroup.procs", maxValue)
		switch err {
		case nil:
		case unix.ENOENT, unix.ENODEV: // removed meanwhile
			return nil
		case unix.EOPNOTSUPP: // a threaded group: its processes are listed above it
			return nil
		default:
			return err
		}
		for line := range strings.Lines(text) {
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err == nil && pid > 0 { // 0: of a pid namespace that this process does not see
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}
