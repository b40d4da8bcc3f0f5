//go:build linux

package plan

import (
	"path"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Input is all that a plan depends on.
type Input struct {
	Spec   *specs.Spec
	Bundle string // absolute path; a relative root.path is below it
	Host   Host

	FDs FDs // Report, Sync and Start are required
	// Rootfs says that FDs.Root holds a detached mount to be used instead of root.path.
	Rootfs bool
	// Mounts are those, by their index in mounts, that the creator has made: all that NeedsOutside names, and any other.
	Mounts map[int]GivenMount
	// NoPivot uses chroot instead of pivot_root, for a host that runs from a ramfs.
	NoPivot bool
	// NewKeyring gives the container a session keyring of its own.
	NewKeyring bool
	// Seccomp is the compiled filter, struct sock_filter after struct sock_filter; nil for none.
	Seccomp []byte
	// SeccompFlags are the SECCOMP_FILTER_FLAG_* to install it with.
	SeccompFlags uint64
	// OwnStdio are the descriptors of 0, 1 and 2 that the container's user must be able to
	// reopen, because they are pipes made for it.
	OwnStdio []int
}

// Compile returns the plan for in. Its errors are of type *Error.
func Compile(in Input) (*Plan, error) {
	c := &compiler{Input: in, builder: newBuilder(in.FDs), sources: map[int]Slot{}}
	if in.Spec == nil || in.Spec.Process == nil || in.Spec.Root == nil && !in.Rootfs {
		return nil, invalid("", "process and root are required to make a container")
	}
	if in.Spec.Linux == nil {
		c.linux = &specs.Linux{}
	} else {
		c.linux = in.Spec.Linux
	}
	for _, stage := range []func() error{
		c.namespaces, c.rootfs, c.cgroup, c.mounts, c.workingDirectory, c.devices, c.console, c.hooks,
		c.kernelFiles, c.hiddenPaths, c.pivot, c.identity, c.lookup, c.ready, c.final,
	} {
		if err := stage(); err != nil {
			return nil, err
		}
	}
	return &c.plan, nil
}

// compiler holds what the stages share.
type compiler struct {
	Input
	*builder
	linux *specs.Linux

	newNS   uint64       // CLONE_NEW* flags of the namespaces that are made
	haveNS  uint64       // those made or joined
	root    Slot         // the root file system
	proc    Slot         // a procfs of the container's own
	dev     Slot         // the container's /dev, when this plan sets it up
	nullFD  Slot         // the host's /dev/null, for masking
	program Slot         // address of the path of the program
	own     bool         // /dev is ours to fill
	many    bool         // so many mounts that descriptors are closed at once
	oldRoot Slot         // the host's root, kept to be made a slave
	sources map[int]Slot // bind sources, by mount, that were opened before the user namespace
}

func (c *compiler) private(flag uint64) bool { return c.newNS&flag != 0 }

// RootPath is the root file system of a bundle as a path of the host.
func RootPath(s *specs.Spec, bundle string) string {
	if s.Root == nil || s.Root.Path == "" {
		return path.Join(bundle, "rootfs")
	}
	if path.IsAbs(s.Root.Path) {
		return path.Clean(s.Root.Path)
	}
	return path.Join(bundle, s.Root.Path)
}

func (c *compiler) rootPath() string { return RootPath(c.Spec, c.Bundle) }

// rootfs attaches the root file system, so that c.root refers to a mount that nothing shares.
func (c *compiler) rootfs() error {
	if c.haveNS&unix.CLONE_NEWNS == 0 {
		return unsupported("/linux/namespaces", "a container without a mount namespace of its own")
	}
	flags, name, err := propagation(c.linux.RootfsPropagation)
	if err != nil {
		return err
	}
	c.pointer = "/linux/rootfsPropagation"
	c.add("set the propagation of the host's mounts ("+name+")", "mount", unix.SYS_MOUNT, null, text("/"), null, flags, null).
		why("nothing mounted below may be seen on the host")
	if len(c.linux.MaskedPaths) > 0 {
		c.openNull()
	}
	if c.root == 0 {
		c.root = c.newSlot("root")
		c.openRoot("")
	} else {
		c.unlessOpen(c.root, func() { c.openRoot("") })
	}
	c.pointer = "/root/path"
	at := c.rootPath()
	if c.haveNS&unix.CLONE_NEWUSER != 0 {
		at = "/" // the mapped root may not reach its place; the root is in everybody's reach
	}
	if c.shared() {
		c.keepShared(at)
	}
	c.add("attach the root file system at "+at, "move_mount", unix.SYS_MOVE_MOUNT, slot(c.root), text(""), cwdFD(), text(at),
		imm(unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY_PATH"))
	return nil
}

// unlessOpen adds steps that are passed over if a slot holds a descriptor already.
func (c *compiler) unlessOpen(s Slot, steps func()) {
	open := c.label("open")
	c.add("is it open already?", "jump_if_not_equal", NrJumpNotEqual, slot(s), imm(^uint64(0), "all"), num(0), target(open))
	steps()
	c.land(open)
}

// openRoot takes the root file system as a tree that nothing shares. With a label it goes on there where that is not permitted.
func (c *compiler) openRoot(denied string) {
	c.pointer = "/root/path"
	if c.Rootfs {
		c.set("take the root file system that was given", c.root, fdArg(c.FDs.Root, "fd.root"))
		return
	}
	open := c.add("open the root file system "+c.rootPath(), "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text(c.rootPath()),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE, "CLONE|CLOEXEC|RECURSIVE")).into(c.root)
	if denied != "" {
		open.on(denied, uint32(unix.EPERM))
	}
	c.add("make the root file system private", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(c.root), text(""),
		imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(0, 0, unix.MS_PRIVATE), num(mountAttrSize)).
		why("pivot_root refuses a shared mount, and nothing mounted below may reach the original")
}

// beforeUserNamespace opens what the mapped root may not be able to reach: the root file system and the sources of bind mounts. A creator
// without privileges may not; then they are opened in the user namespace.
func (c *compiler) beforeUserNamespace() error {
	c.root = c.newSlot("root")
	denied := c.label("denied")
	c.openRoot(denied)
	c.land(denied)
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		if _, given := c.Mounts[i]; given {
			continue
		}
		if o := parseMountOptions(m.Options); (o.bind || m.Type == "bind") && !o.remount {
			c.pointer = "/mounts/" + strconv.Itoa(i)
			c.sources[i] = c.newSlot("mount.bind")
			denied := c.label("denied")
			c.openSource(c.sources[i], c.sourcePath(m), o).on(denied, uint32(unix.EPERM))
			c.land(denied)
		}
	}
	return nil
}

// shared tells whether mounts of the container are to be seen on the host.
func (c *compiler) shared() bool {
	return c.linux.RootfsPropagation == "shared" || c.linux.RootfsPropagation == "rshared"
}

// keepShared makes private only the mount that the root file system is attached to: pivot_root wants that, and so it stays unseen, while
// mounts that are bound from the host go on sharing with it. The mount is the first of the path and its parents that is one.
func (c *compiler) keepShared(at string) {
	c.pointer = "/linux/rootfsPropagation"
	done := c.label("private")
	for p := at; ; p = path.Dir(p) {
		next := c.label("parent")
		step := c.add("make "+p+" private, if it is a mount", "mount_setattr", unix.SYS_MOUNT_SETATTR, cwdFD(), text(p), num(0),
			mountAttr(0, 0, unix.MS_PRIVATE), num(mountAttrSize)).then(done)
		if p == "/" {
			break
		}
		step.on(next, uint32(unix.EINVAL))
		c.land(next)
	}
	c.land(done)
	c.oldRoot = c.newSlot("oldroot")
	c.add("keep the host's root", "openat", unix.SYS_OPENAT, cwdFD(), text("/"), imm(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, "O_PATH|O_DIRECTORY|O_CLOEXEC"), num(0)).into(c.oldRoot)
}

// openNull opens the host's /dev/null while the host's /dev is still there.
func (c *compiler) openNull() {
	c.pointer = "/linux/maskedPaths"
	c.nullFD = c.newSlot("null")
	c.add("open the host's /dev/null", "openat", unix.SYS_OPENAT, cwdFD(), text("/dev/null"), imm(unix.O_PATH|unix.O_CLOEXEC, "O_PATH|O_CLOEXEC"), num(0)).into(c.nullFD)
	st, good := c.newBuffer("statx", statxSize), c.label("null")
	c.add("look at it", "statx", unix.SYS_STATX, slot(c.nullFD), text(""), imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), imm(unix.STATX_TYPE, "TYPE"), addr(st))
	c.jumpEqual("is it the null device?", slot(st+statxRdev/8), ^uint64(0), 1|3<<32, good)
	c.fail("open the host's /dev/null: it is something else", num(int(unix.ENODEV)))
	c.land(good)
}

// propagation of the host's tree as the container sees it (config-linux.md, Rootfs Mount Propagation).
func propagation(v string) (Arg, string, error) {
	switch v {
	case "", "slave", "rslave", "unbindable", "runbindable":
		return imm(unix.MS_SLAVE|unix.MS_REC, "MS_REC|MS_SLAVE"), "slave", nil
	case "private", "rprivate":
		return imm(unix.MS_PRIVATE|unix.MS_REC, "MS_REC|MS_PRIVATE"), "private", nil
	case "shared", "rshared":
		return imm(unix.MS_SHARED|unix.MS_REC, "MS_REC|MS_SHARED"), "shared", nil
	}
	return Arg{}, "", invalid("/linux/rootfsPropagation", "%q is none of shared, slave, private, unbindable", v)
}

// pivot makes the root file system the root and lets go of the host's.
func (c *compiler) pivot() error {
	c.pointer = "/root"
	c.add("enter the root file system", "fchdir", unix.SYS_FCHDIR, slot(c.root))
	if c.NoPivot {
		c.add("move the root file system over /", "move_mount", unix.SYS_MOVE_MOUNT, slot(c.root), text(""), cwdFD(), text("/"),
			imm(unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY_PATH"))
		c.add("change root", "chroot", unix.SYS_CHROOT, text("."))
	} else {
		c.add("change root", "pivot_root", unix.SYS_PIVOT_ROOT, text("."), text(".")).
			why("both at the same place: the old root is stacked on the new one, no directory is needed for it")
		if c.oldRoot != 0 {
			c.add("go to the old root", "fchdir", unix.SYS_FCHDIR, slot(c.oldRoot))
			c.add("make it a slave", "mount", unix.SYS_MOUNT, null, text("."), null, imm(unix.MS_SLAVE|unix.MS_REC, "MS_REC|MS_SLAVE"), null).
				why("unmounting it must not unmount the host's mounts")
		}
		c.add("let go of the host's mounts", "umount2", unix.SYS_UMOUNT2, text("."), imm(unix.MNT_DETACH, "MNT_DETACH"))
	}
	c.add("enter the new root", "chdir", unix.SYS_CHDIR, text("/"))
	if c.Spec.Root != nil && c.Spec.Root.Readonly {
		c.pointer = "/root/readonly"
		c.add("make the root read-only", "mount_setattr", unix.SYS_MOUNT_SETATTR, cwdFD(), text("/"), num(0),
			mountAttr(unix.MOUNT_ATTR_RDONLY, 0, 0), num(mountAttrSize))
	}
	var flag uint64
	switch c.linux.RootfsPropagation {
	case "shared", "rshared":
		flag = unix.MS_SHARED
	case "unbindable", "runbindable":
		flag = unix.MS_UNBINDABLE
	case "slave", "rslave":
		flag = unix.MS_SLAVE
	default:
		return nil
	}
	c.pointer = "/linux/rootfsPropagation"
	c.add("set the propagation of the root", "mount_setattr", unix.SYS_MOUNT_SETATTR, cwdFD(), text("/"), num(0),
		mountAttr(0, 0, flag), num(mountAttrSize))
	return nil
}

// hooks stops for the hooks that run when the mounts are done and the root is not yet changed.
func (c *compiler) hooks() error {
	h := c.Spec.Hooks
	//lint:ignore SA1019 prestart is deprecated, and not gone
	if h == nil || len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) == 0 {
		return nil
	}
	c.pointer = "/hooks"
	c.point(PointHooks, "wait for the createRuntime and createContainer hooks")
	return nil
}

// point reports and waits.
func (c *compiler) point(p Point, name string) {
	c.add("report that the process will "+name, "write", unix.SYS_WRITE, fdArg(c.FDs.Report, "fd.report"),
		mem(record(RecordPoint, uint32(p)), "record"), num(RecordSize))
	fd, show := c.FDs.Sync, "fd.sync"
	if p == PointStart {
		fd, show = c.FDs.Start, "fd.start"
	}
	c.add(name, "read", unix.SYS_READ, fdArg(fd, show), addr(c.newBuffer("byte", 8)), num(1)).notZero()
}
