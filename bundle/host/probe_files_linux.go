package host

import (
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle/internal/program"
)

// looked is what was found out about one file.
type looked struct {
	inside bool
	path   string
	file   File
}

// files looks at the files that the config names, in a goroutine that is left behind if a file system does not answer: a system
// call cannot be broken off.
func (f *Facts) files(ctx context.Context, look func(ctx context.Context, asked, answers chan<- looked)) {
	f.Files, f.Inside = map[string]File{}, map[string]File{}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked, answers := make(chan looked), make(chan looked)
	go look(ctx, asked, answers)
	var last looked
	for {
		select {
		case last = <-asked:
		case l, more := <-answers:
			if !more {
				return
			}
			if l.inside {
				f.Inside[l.path] = l.file
			} else {
				f.Files[l.path] = l.file
			}
		case <-ctx.Done():
			if last.inside {
				f.Inside[last.path] = File{Kind: Hung}
			} else if last.path != "" {
				f.Files[last.path] = File{Kind: Hung}
			}
			return
		}
	}
}

// look goes through the files. It reads of f what does not change.
func look(ctx context.Context, s *specs.Spec, f Facts, asked, answers chan<- looked) {
	defer close(answers)
	tell := func(to chan<- looked, l looked) bool {
		select {
		case to <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	files, inside := wanted(s, f.Bundle)
	own := ownNamespaces()
	for _, p := range files {
		if !tell(asked, looked{path: p}) || !tell(answers, looked{path: p, file: hostFile(p, own)}) {
			return
		}
	}
	root := ""
	if s.Root != nil {
		root = hostPath(f.Bundle, s.Root.Path)
	}
	if !path.IsAbs(root) {
		return
	}
	if !tell(asked, looked{path: root}) {
		return
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for _, e := range f.Formats {
		if !e.Fixed {
			inside = append(inside, e.Interpreter)
		}
	}
	programs := map[string]bool{}
	for _, p := range programsOf(s) {
		programs[p] = true
	}
	for i := 0; i < len(inside) && i < maxPaths; i++ {
		p := inside[i]
		if !tell(asked, looked{true, p, File{}}) {
			return
		}
		file := insideFile(fd, p, programs[p])
		if file.Program != nil && file.Program.Loader != "" {
			loader := path.Clean("/" + file.Program.Loader)
			if !programs[loader] {
				programs[loader] = true
				inside = append(inside, loader)
			}
		}
		if !tell(answers, looked{true, p, file}) {
			return
		}
	}
}

// programsOf are the paths in the root directory that are to be executed.
func programsOf(s *specs.Spec) []string {
	list := candidates(s.Process)
	if s.Hooks != nil {
		for _, h := range s.Hooks.StartContainer {
			list = append(list, path.Clean("/"+h.Path))
		}
	}
	return list
}

// node is a file by its numbers.
type node struct{ dev, ino uint64 }

func ownNamespaces() map[node]bool {
	own := map[node]bool{}
	for name := range names("/proc/self/ns") {
		var st unix.Stat_t
		if unix.Stat("/proc/self/ns/"+name, &st) == nil {
			own[node{uint64(st.Dev), st.Ino}] = true
		}
	}
	return own
}

// failed is what an error says of a file.
func failed(err error) File {
	switch err {
	case unix.ENOENT, unix.ENOTDIR:
		return File{Kind: Absent}
	case unix.EACCES, unix.EPERM:
		return File{Kind: Denied}
	case unix.ETIMEDOUT, unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.EHOSTDOWN:
		return File{Kind: Hung}
	}
	return File{}
}

func hostFile(p string, own map[node]bool) File {
	fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	f, st := describe(fd)
	if f.FS != "nsfs" {
		return f
	}
	f.Kind, f.Own = Namespace, own[node{uint64(st.Dev), st.Ino}]
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return f
	}
	defer unix.Close(again)
	owner, err := unix.IoctlRetInt(again, unix.NS_GET_USERNS)
	if f.Above = err == unix.EPERM; err == nil {
		unix.Close(owner)
	}
	if n, err := unix.IoctlRetInt(again, unix.NS_GET_NSTYPE); err == nil {
		f.Type = map[int]specs.LinuxNamespaceType{
			unix.CLONE_NEWPID: specs.PIDNamespace, unix.CLONE_NEWNET: specs.NetworkNamespace, unix.CLONE_NEWNS: specs.MountNamespace,
			unix.CLONE_NEWIPC: specs.IPCNamespace, unix.CLONE_NEWUTS: specs.UTSNamespace, unix.CLONE_NEWUSER: specs.UserNamespace,
			unix.CLONE_NEWCGROUP: specs.CgroupNamespace, unix.CLONE_NEWTIME: specs.TimeNamespace,
		}[n]
	}
	return f
}

// describe tells what an open file is.
func describe(fd int) (File, unix.Stat_t) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Fstat(fd, &st) != nil {
		return File{}, st
	}
	f := File{Mode: uint32(st.Mode) & 0o7777, Owner: [2]uint32{st.Uid, st.Gid}, Device: [2]uint32{unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))}}
	f.Kind = map[uint32]Kind{
		unix.S_IFDIR: Directory, unix.S_IFREG: Regular, unix.S_IFBLK: Block, unix.S_IFCHR: Char, unix.S_IFIFO: FIFO, unix.S_IFSOCK: Socket,
	}[uint32(st.Mode)&unix.S_IFMT]
	if unix.Fstatfs(fd, &fs) == nil {
		f.FS = map[int64]string{
			unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
			unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.NFS_SUPER_MAGIC: "nfs",
			unix.SQUASHFS_MAGIC: "squashfs", 0xe0f5e1e2: "erofs", unix.CGROUP_SUPER_MAGIC: "cgroup", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
			unix.DEVPTS_SUPER_MAGIC: "devpts", unix.NSFS_MAGIC: "nsfs", unix.HUGETLBFS_MAGIC: "hugetlbfs", unix.RAMFS_MAGIC: "ramfs",
		}[int64(fs.Type)&0xffffffff]
		f.NoExec, f.Frozen = fs.Flags&unix.ST_NOEXEC != 0, fs.Flags&unix.ST_RDONLY != 0
	}
	return f, st
}

// openInside opens a path in the root directory for looking at it.
func openInside(root int, p string) (int, error) {
	if p == "/" {
		return unix.Openat(root, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	return unix.Openat2(root, strings.TrimPrefix(p, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// realPath gives where an open file is in the root directory, as procfs shows it.
func realPath(root, fd int) string {
	var top, at [4096]byte
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(root), top[:])
	m, e := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), at[:])
	if err != nil || e != nil || n == len(top) || m == len(at) {
		return ""
	}
	rest, ok := strings.CutPrefix(string(at[:m]), strings.TrimSuffix(string(top[:n]), "/"))
	switch {
	case ok && rest == "":
		return "/"
	case ok && rest[0] == '/':
		return rest
	}
	return ""
}

// insideFile looks at a path in the root directory; links are followed there as the container would.
func insideFile(root int, p string, program bool) File {
	fd, err := openInside(root, p)
	if err != nil {
		f := failed(err)
		if f.Kind == Absent && p != "/" {
			if up, err := openInside(root, path.Dir(p)); err == nil {
				if real := realPath(root, up); real != "" {
					f.Real = path.Join(real, path.Base(p))
				}
				unix.Close(up)
			}
		}
		var fs unix.Statfs_t
		if f.Kind == Absent && unix.Fstatfs(root, &fs) == nil {
			f.Frozen = fs.Flags&unix.ST_RDONLY != 0
		}
		return f
	}
	defer unix.Close(fd)
	f, _ := describe(fd)
	f.Real = realPath(root, fd)
	if program && f.Kind == Regular && f.Mode&0o111 != 0 {
		f.Program = readProgram(fd)
	}
	return f
}

// readProgram reads how a file is executed; nil if it may not be read.
func readProgram(fd int) *program.Program {
	file, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(file)
	head := make([]byte, 256) // BINPRM_BUF_SIZE
	n, err := unix.Pread(file, head, 0)
	if err != nil {
		return nil
	}
	return program.Parse(head[:n], func(b []byte, at int64) bool {
		n, err := unix.Pread(file, b, at)
		return err == nil && n == len(b)
	})
}
