//go:build linux

package plan

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cgroupMount shows the container its cgroups: one cgroup2 mount, or, on a host with v1 hierarchies,
// a tmpfs with one mount each.
func (c *compiler) cgroupMount(m *specs.Mount, dest string, o mountOptions) error {
	o.data = nil // the options of a v1 mount ("cpu") name what the host decides
	if c.Host.CgroupV2 || m.Type == "cgroup2" {
		c.cgroup2Mount(dest, o)
		return nil
	}
	if c.Host.InUserNamespace || c.private(unix.CLONE_NEWUSER) {
		// v1 hierarchies belong to the initial user namespace and cannot be mounted from another (cgroup_namespaces(7)).
		c.hostCgroups(dest, o)
		return nil
	}
	if len(c.Host.Hierarchies) == 0 {
		return unsupported(c.pointer, "a cgroup mount on a host without cgroups")
	}
	tmp := mountOptions{set: (o.set | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC) &^ unix.MOUNT_ATTR_RDONLY, data: []string{"mode=755"}}
	top := c.fsMount("tmpfs", "cgroup", tmp)
	c.attach(top, dest, Directory, false)
	for _, h := range c.Host.Hierarchies {
		c.hierarchy(top, h, o)
	}
	if o.set&unix.MOUNT_ATTR_RDONLY != 0 {
		c.add("make the directory of hierarchies read-only", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(top), text(""),
			imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), mountAttr(unix.MOUNT_ATTR_RDONLY, 0, 0), num(mountAttrSize))
	}
	c.after(dest, top, o)
	return nil
}

// hostCgroups shows the host's hierarchies, read-only.
func (c *compiler) hostCgroups(dest string, o mountOptions) {
	fd := c.newSlot("mount.cgroup")
	c.add("take the host's cgroups", "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text("/sys/fs/cgroup"),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE, "CLONE|CLOEXEC|RECURSIVE")).into(fd)
	c.add("make them read-only", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
		imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(o.set|unix.MOUNT_ATTR_RDONLY, 0, unix.MS_PRIVATE), num(mountAttrSize)).
		why("CVE-2023-25809: a writable one would let the container out of its cgroup")
	c.attach(fd, dest, Directory, false)
	c.after(dest, fd, o)
}

// hierarchy mounts one v1 hierarchy below top. In a cgroup namespace a mount shows just the
// container's own cgroup; without one, the directory of that cgroup is bound.
func (c *compiler) hierarchy(top Slot, h Hierarchy, o mountOptions) {
	c.add("make the directory of "+h.Name, "mkdirat", unix.SYS_MKDIRAT, slot(top), text(h.Name), imm(0o755, "0755"))
	var fd Slot
	if c.haveNS&unix.CLONE_NEWCGROUP != 0 {
		fd = c.fsMount("cgroup", "cgroup", mountOptions{set: o.set, data: strings.Split(h.Data, ",")})
	} else {
		fd = c.newSlot("mount." + h.Name)
		c.add("open the cgroup "+h.Path, "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text(h.Path),
			imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, "CLONE|CLOEXEC")).into(fd)
		c.add("set its options", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), mountAttr(o.set, 0, unix.MS_PRIVATE), num(mountAttrSize))
	}
	c.add("mount "+h.Name, "move_mount", unix.SYS_MOVE_MOUNT, slot(fd), text(""), slot(top), text(h.Name),
		imm(unix.MOVE_MOUNT_F_EMPTY_PATH, "F_EMPTY_PATH"))
}

// cgroup2Mount mounts the unified hierarchy; where the kernel refuses (no cgroup namespace of our
// own, or a user namespace without the right to), the host's is bound.
func (c *compiler) cgroup2Mount(dest string, o mountOptions) {
	own := c.haveNS&unix.CLONE_NEWCGROUP != 0
	fd := c.newSlot("mount.cgroup2")
	bind, done := c.label("bind.cgroup2"), c.label("cgroup2")
	if own {
		ctx := c.newSlot("fs.cgroup2")
		c.add("open a cgroup2 file system", "fsopen", unix.SYS_FSOPEN, text("cgroup2"), imm(fsopenCloexec, "CLOEXEC")).into(ctx).
			on(bind, uint32(unix.EPERM))
		c.add("create the cgroup2 file system", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigCreate, "CMD_CREATE"), null, null, num(0)).
			on(bind, uint32(unix.EPERM), uint32(unix.EBUSY))
		c.add("mount the cgroup2 file system", "fsmount", unix.SYS_FSMOUNT, slot(ctx), imm(fsmountCloexec, "CLOEXEC"), imm(o.set, flagNames(o.set, mountAttrNames))).
			into(fd).then(done).on(bind, uint32(unix.EPERM))
	}
	c.branch(bind, done, func() {
		c.add("take the host's cgroup2 instead", "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text("/sys/fs/cgroup"),
			imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE, "CLONE|CLOEXEC|RECURSIVE")).into(fd)
		c.add("set its options", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(o.set, 0, unix.MS_PRIVATE), num(mountAttrSize))
	})
	c.attach(fd, dest, Directory, false)
	c.after(dest, fd, o)
}
