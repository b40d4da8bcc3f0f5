package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// outsideMounts makes the mounts that the container's process cannot make, and hands on those that the caller made. They must be
// the last descriptors that the process is given: it closes them before it waits.
func (c *creation) outsideMounts(ctx context.Context) error {
	c.mounts = map[int]plan.GivenMount{}
	for i, f := range c.CreateOptions.Mounts {
		if i < 0 || i >= len(c.Spec.Mounts) {
			return fmt.Errorf("%w: a mount is given for /mounts/%d, which is not there", ErrConfig, i)
		}
		if err := c.handOn(i, int(f.Fd())); err != nil {
			return err
		}
	}
	needed, err := plan.NeedsOutside(c.Spec)
	if err != nil {
		return err
	}
	for _, m := range needed {
		if _, given := c.mounts[m.Index]; given {
			continue
		}
		fd, err := -1, error(nil)
		if m.IDMap {
			fd, err = c.idMapped(m)
		} else {
			fd, err = c.copiedUp(ctx, m)
		}
		if err != nil {
			return fmt.Errorf("mount %s (config.json: /mounts/%d): %w", c.Spec.Mounts[m.Index].Destination, m.Index, err)
		}
		c.live.given = append(c.live.given, fd)
		if err := c.handOn(m.Index, fd); err != nil {
			return err
		}
	}
	return nil
}

// handOn gives the mount at fd to the container's process.
func (c *creation) handOn(i, fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat the mount of /mounts/%d: %w", i, err)
	}
	kind := plan.NotDirectory
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		kind = plan.Directory
	}
	c.files = append(c.files, uintptr(fd))
	c.mounts[i] = plan.GivenMount{FD: len(c.files) - 1, Kind: kind}
	return nil
}

// idMapped makes an idmapped mount of a source (mount_setattr(2)). It is done here since it takes rights over the file system of the
// source, which the container's process may give up for a user namespace of its own.
func (c *creation) idMapped(m plan.OutsideMount) (fd int, err error) {
	userns, err := mappingNamespace(m)
	if err != nil {
		return -1, err
	}
	defer userns.Close()
	source := c.Spec.Mounts[m.Index].Source
	if !filepath.IsAbs(source) {
		source = filepath.Join(c.CreateOptions.Bundle, source)
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if m.Tree {
		flags |= unix.AT_RECURSIVE
	}
	if fd, err = unix.OpenTree(unix.AT_FDCWD, source, flags); err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: source, Err: err}
	}
	whole := uint(unix.AT_EMPTY_PATH)
	if m.Whole {
		whole |= unix.AT_RECURSIVE
	}
	err = unix.MountSetattr(fd, "", whole, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())})
	if err != nil {
		err = fmt.Errorf("map the ids of %s (its file system has to know idmapped mounts, and this process needs rights over it): %w", source, err)
	} else {
		err = c.unshared(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// unshared takes a clone out of the peer group of what it is a clone of, as it would be in the container's mount namespace.
func (c *creation) unshared(fd int) error {
	propagation := uint64(unix.MS_SLAVE)
	if l := c.Spec.Linux; l != nil {
		switch l.RootfsPropagation {
		case "shared", "rshared":
			return nil
		case "private", "rprivate":
			propagation = unix.MS_PRIVATE
		}
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Propagation: propagation}); err != nil {
		return fmt.Errorf("set the propagation: %w", err)
	}
	return nil
}

// mappingNamespace gives a user namespace that has the maps of a mount: mount_setattr(2) takes them in no other form.
func mappingNamespace(m plan.OutsideMount) (*os.File, error) {
	if m.Userns != "" {
		return os.Open(m.Userns)
	}
	var ns *os.File
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // the child is traced by the thread that starts it
		defer goruntime.UnlockOSThread()
		// The process stops before its first instruction and is ended there: only its namespace is wanted.
		p, err := os.StartProcess("/proc/self/exe", []string{"user-namespace"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, Ptrace: true, Pdeathsig: syscall.SIGKILL, GidMappingsEnableSetgroups: true,
			UidMappings: sysMaps(m.UIDs), GidMappings: sysMaps(m.GIDs),
		}})
		if err != nil {
			done <- fmt.Errorf("make a user namespace with the maps: %w", err)
			return
		}
		ns, err = os.Open("/proc/" + strconv.Itoa(p.Pid) + "/ns/user")
		_ = p.Kill() // an error says that it is dead
		_, _ = p.Wait()
		done <- err
	}()
	return ns, <-done
}

func sysMaps(maps []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	var list []syscall.SysProcIDMap
	for _, m := range maps {
		list = append(list, syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)})
	}
	return list
}

// copiedUp makes a tmpfs with a copy of what the root file system has at the destination.
func (c *creation) copiedUp(ctx context.Context, m plan.OutsideMount) (fd int, err error) {
	if c.rt.copyTree == nil {
		return -1, fmt.Errorf("tmpcopyup: %w: nothing is there that copies files", errors.ErrUnsupported)
	}
	owned := m
	if err := c.ownTmpfs(&owned); err != nil {
		return -1, err
	}
	if fd, err = newTmpfs(owned, c.Spec.Mounts[m.Index].Source); err != nil {
		return -1, err
	}
	tmpfs := os.NewFile(uintptr(fd), "tmpfs")
	err = c.copyUp(ctx, m, tmpfs)
	if err == nil {
		if fd, err = unix.FcntlInt(tmpfs.Fd(), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			return fd, tmpfs.Close()
		}
	}
	return -1, errors.Join(err, tmpfs.Close())
}

func (c *creation) copyUp(ctx context.Context, m plan.OutsideMount, tmpfs *os.File) error {
	covered, err := c.coveredDir(c.Spec.Mounts[m.Index].Destination)
	if err != nil || covered == nil {
		return err
	}
	defer covered.Close()
	var asked unix.Stat_t // what the options say of the root of the tmpfs
	if err := unix.Fstat(int(tmpfs.Fd()), &asked); err != nil {
		return err
	}
	if err := c.rt.copyTree(ctx, covered, tmpfs); err != nil {
		return fmt.Errorf("tmpcopyup: %w", err)
	}
	for _, d := range m.Data {
		key, _, _ := strings.Cut(d, "=")
		switch key { // by no descriptor: fsmount(2) gives one of O_PATH
		case "mode":
			err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(int(tmpfs.Fd())), asked.Mode&0o7777)
		case "uid":
			err = unix.Fchownat(int(tmpfs.Fd()), "", int(asked.Uid), -1, unix.AT_EMPTY_PATH)
		case "gid":
			err = unix.Fchownat(int(tmpfs.Fd()), "", -1, int(asked.Gid), unix.AT_EMPTY_PATH)
		}
		if err != nil {
			return fmt.Errorf("set %s of the tmpfs: %w", d, err)
		}
	}
	return nil
}

// ownTmpfs gives a tmpfs to the container's root, or to the owner that its options say, by their ids on the host: mounted in the container's
// user namespace it would belong to them.
func (c *creation) ownTmpfs(m *plan.OutsideMount) error {
	if !ownNamespace(c.Spec, specs.UserNamespace) {
		return nil
	}
	for _, key := range []struct {
		name string
		maps []specs.LinuxIDMapping
	}{{"uid=", c.Spec.Linux.UIDMappings}, {"gid=", c.Spec.Linux.GIDMappings}} {
		id := uint64(0)
		data := m.Data[:0:0]
		for _, d := range m.Data {
			value, is := strings.CutPrefix(d, key.name)
			if !is {
				data = append(data, d)
				continue
			}
			var err error
			if id, err = strconv.ParseUint(value, 10, 32); err != nil {
				return fmt.Errorf("%w: option %s of a tmpfs", ErrConfig, d)
			}
		}
		host, ok := hostID(key.maps, uint32(id))
		if !ok {
			return fmt.Errorf("%w: %s%d of a tmpfs is not mapped in the user namespace", ErrConfig, key.name, id)
		}
		m.Data = append(data, key.name+strconv.Itoa(host))
	}
	return nil
}

// newTmpfs mounts a tmpfs nowhere.
func newTmpfs(m plan.OutsideMount, source string) (int, error) {
	ctx, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open a tmpfs: %w", err)
	}
	defer unix.Close(ctx)
	if source != "" {
		if err := unix.FsconfigSetString(ctx, "source", source); err != nil {
			return -1, fmt.Errorf("name the source of a tmpfs: %w", err)
		}
	}
	for _, d := range m.Data {
		if key, value, has := strings.Cut(d, "="); has {
			err = unix.FsconfigSetString(ctx, key, value)
		} else {
			err = unix.FsconfigSetFlag(ctx, key)
		}
		if err != nil {
			return -1, fmt.Errorf("set %s on a tmpfs: %w", d, err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, fmt.Errorf("create a tmpfs: %w", err)
	}
	// Read-only comes last, after the copy: the plan sets the attributes again.
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, int(m.Attributes&^unix.MOUNT_ATTR_RDONLY))
	if err != nil {
		return -1, fmt.Errorf("mount a tmpfs: %w", err)
	}
	return fd, nil
}

// coveredDir opens the directory of the root file system at a destination, nil if there is none. What earlier mounts put there is not seen.
func (c *creation) coveredDir(destination string) (*os.File, error) {
	root := -1
	if c.Rootfs != nil {
		root = int(c.Rootfs.Fd())
	} else {
		var err error
		if root, err = unix.Open(c.state.Rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return nil, &os.PathError{Op: "open", Path: c.state.Rootfs, Err: err}
		}
		defer unix.Close(root)
	}
	fd, err := unix.Openat2(root, destination, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil //nolint:nilnil // nothing is covered
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: destination, Err: err}
	}
	return os.NewFile(uintptr(fd), destination), nil
}

// placeMounts numbers the mounts that outsideMounts would make, for a plan that is only printed.
func (c *creation) placeMounts(first int) error {
	needed, err := plan.NeedsOutside(c.Spec)
	c.mounts = map[int]plan.GivenMount{}
	for i, m := range needed {
		kind := plan.Directory
		if source := c.Spec.Mounts[m.Index].Source; m.IDMap {
			if !filepath.IsAbs(source) {
				source = filepath.Join(c.CreateOptions.Bundle, source)
			}
			if kind, err = fileKind(source); err != nil {
				return err
			}
		}
		c.mounts[m.Index] = plan.GivenMount{FD: first + i, Kind: kind}
	}
	return err
}
