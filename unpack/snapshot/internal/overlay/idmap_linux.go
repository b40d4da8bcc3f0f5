package overlay

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// onThread runs f on a thread of its own, which has what flags says for itself alone (unshare(2)) and ends
// with f. With CLONE_NEWNS nothing that f mounts is seen elsewhere.
func onThread(flags int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The first thread cannot end, and /proc/self shows what it has. It is held here, so that the other
			// goroutine gets another one.
			done <- onThread(flags, f)
			goruntime.UnlockOSThread()
			return
		}
		done <- unshared(flags, f)
	}()
	return <-done
}

func unshared(flags int, f func() error) error {
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if flags&unix.CLONE_NEWNS != 0 {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make the mounts of a thread private: %w", err)
		}
	}
	return f()
}

// mapLayers covers each directory with an idmapped mount of itself. The caller's thread has a mount namespace
// of its own.
func mapLayers(dirs []string, userNamespace int) error {
	for _, dir := range dirs {
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("%s: open_tree: %w", dir, err)
		}
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userNamespace)})
		if err == nil {
			err = unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("%s: idmapped mount: %w", dir, err)
		}
	}
	return nil
}

// userNamespace gives a user namespace that has the maps, nil without maps. mount_setattr(2) takes maps in no other form.
func (o *Options) userNamespace() (*os.File, error) {
	if o.UIDMap == nil && o.GIDMap == nil {
		return nil, nil //nolint:nilnil // no maps: no namespace
	}
	var ns *os.File
	err := onThread(0, func() error {
		// The process stops before its first instruction, since it is traced, and is ended there: only its
		// namespace is wanted. The kernel ends it too if this thread goes.
		p, err := os.StartProcess("/proc/self/exe", []string{"user-namespace"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, Ptrace: true, Pdeathsig: syscall.SIGKILL, GidMappingsEnableSetgroups: true,
			UidMappings: sysMaps(o.UIDMap), GidMappings: sysMaps(o.GIDMap),
		}})
		if err != nil {
			return fmt.Errorf("make a user namespace: %w", err)
		}
		ns, err = os.Open("/proc/" + strconv.Itoa(p.Pid) + "/ns/user")
		_ = p.Kill() // an error says that it is dead
		_, _ = p.Wait()
		return err
	})
	return ns, err
}

func sysMaps(maps []unpack.IDMap) []syscall.SysProcIDMap {
	var list []syscall.SysProcIDMap
	for _, m := range maps {
		list = append(list, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return list
}
