//go:build linux

package plan

import (
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Commands of fsconfig(2).
const (
	fsconfigSetFlag   = 0
	fsconfigSetString = 1
	fsconfigCreate    = 6
	fsmountCloexec    = 1
	fsopenCloexec     = 1
)

// mounts makes the mounts in the order of the configuration (config.md, Mounts, MUST).
func (c *compiler) mounts() error {
	c.many = len(c.Spec.Mounts) > manyMounts
	for i := range c.Spec.Mounts {
		c.pointer = "/mounts/" + strconv.Itoa(i)
		if err := c.mount(i, &c.Spec.Mounts[i], parseMountOptions(c.Spec.Mounts[i].Options)); err != nil {
			return err
		}
	}
	return nil
}

// manyMounts is the number of mounts above which descriptors are closed one by one: below it, a limit of 256 open files
// is enough to leave them all to one close_range.
const manyMounts = 48

// close closes a descriptor early.
func (c *compiler) close(s Slot) {
	if c.many && s != c.root && s != c.proc {
		c.add("close a descriptor", "close", unix.SYS_CLOSE, slot(s))
	}
}

func (c *compiler) mount(i int, m *specs.Mount, o mountOptions) error {
	dest := rootRelative(m.Destination)
	if dest == "" {
		return unsupported(c.pointer+"/destination", "a mount over the root itself")
	}
	isBind := o.bind || m.Type == "bind"
	if dest == "proc" && m.Type != "proc" && !isBind {
		return invalid(c.pointer, "only a proc file system or a bind mount may cover /proc (CVE-2019-16884)")
	}
	given, isGiven := c.Mounts[i]
	if needs, err := c.outside(i); err != nil {
		return err
	} else if needs.any() && !isGiven {
		return unsupported(c.pointer+"/options", "a mount with ids or content of its own that the creator has not made")
	}
	switch {
	case o.remount:
		return c.remount(dest, o)
	case isGiven:
		c.attachGiven(given, dest, o)
		return nil
	case isBind:
		return c.bind(i, m, dest, o)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		return c.cgroupMount(m, dest, o)
	case m.Type == "" || m.Type == "none":
		return invalid(c.pointer+"/type", "a mount that is no bind mount needs a type")
	}
	fd := c.fsMount(m.Type, m.Source, o)
	if m.Type == "proc" {
		c.proc = fd
	}
	c.attach(fd, dest, Directory, m.Type == "proc" || m.Type == "sysfs")
	c.after(dest, fd, o)
	return nil
}

// fsMount makes a detached mount of a file system and returns the slot of its descriptor. Where sysfs may not
// be mounted, because the network namespace belongs to another user namespace, the host's is taken.
func (c *compiler) fsMount(kind, source string, o mountOptions) Slot {
	ctx, fd := c.newSlot("fs."+kind), c.newSlot("mount."+kind)
	done := ""
	open := c.add("open a "+kind+" file system", "fsopen", unix.SYS_FSOPEN, text(kind), imm(fsopenCloexec, "CLOEXEC")).into(ctx)
	if kind == "sysfs" {
		done = c.label("sysfs")
		bind := c.label("bind.sysfs")
		open.on(bind, uint32(unix.EPERM))
		defer func() {
			c.branch(bind, done, func() {
				c.add("take the host's sysfs instead", "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text("/sys"),
					imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE, "CLONE|CLOEXEC|RECURSIVE")).into(fd)
				c.add("make it read-only", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
					imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(o.set|unix.MOUNT_ATTR_RDONLY, 0, unix.MS_PRIVATE), num(mountAttrSize))
			})
		}()
	}
	c.configure(ctx, kind, source, o)
	made := c.add("create the "+kind+" file system", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigCreate, "CMD_CREATE"), null, null, num(0))
	if kind == "sysfs" {
		made.on(c.plan.Steps[open.i].Rules[0].Goto, uint32(unix.EPERM))
	}
	c.add("mount the "+kind+" file system", "fsmount", unix.SYS_FSMOUNT, slot(ctx), imm(fsmountCloexec, "CLOEXEC"),
		imm(o.set, flagNames(o.set, mountAttrNames))).into(fd).then(done)
	if done == "" {
		c.close(ctx)
	}
	return fd
}

// configure gives a file system context its source, its flags and its data.
func (c *compiler) configure(ctx Slot, kind, source string, o mountOptions) {
	if source != "" {
		c.add("name its source", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetString, "SET_STRING"), text("source"), text(source), num(0))
	}
	for _, f := range o.superblock {
		c.add("set "+f+" on "+kind, "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetFlag, "SET_FLAG"), text(f), null, num(0))
	}
	for _, d := range o.data {
		key, value, has := strings.Cut(d, "=")
		if kind == "overlay" && key == "lowerdir" && len(value) > fsconfigMax && !strings.Contains(value, "::") {
			c.overlayLayers(ctx, value)
		} else if has {
			c.add("set "+d+" on "+kind, "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetString, "SET_STRING"), text(key), text(value), num(0))
		} else {
			c.add("set "+d+" on "+kind, "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetFlag, "SET_FLAG"), text(key), null, num(0))
		}
	}
}

// fsconfigMax is the length of the longest value that fsconfig(2) takes.
const fsconfigMax = 255

// overlayLayers gives the directories of a list one by one, the topmost first, as Linux 6.5 takes them: together they are longer than
// a value may be. A backslash makes a colon part of a name.
func (c *compiler) overlayLayers(ctx Slot, list string) {
	for list != "" {
		end, name := 0, ""
		for ; end < len(list) && list[end] != ':'; end++ {
			if list[end] == '\\' && end+1 < len(list) {
				end++
			}
			name += list[end : end+1]
		}
		list = strings.TrimPrefix(list[end:], ":")
		c.add("show "+name+" in it", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetString, "SET_STRING"), text("lowerdir+"), text(name), num(0))
	}
}

// branch adds steps that are entered at label only, and goes on at done after them.
func (c *compiler) branch(label, done string, steps func()) {
	skip := len(c.plan.Steps)
	steps()
	c.plan.Steps[skip].Label = label
	c.land(done)
}

func (c *compiler) sourcePath(m *specs.Mount) string {
	if path.IsAbs(m.Source) {
		return m.Source
	}
	return path.Join(c.Bundle, m.Source)
}

// openSource takes a file or directory of the host as a detached mount.
func (c *compiler) openSource(fd Slot, source string, o mountOptions) stepRef {
	flags, show := uint64(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC), "CLONE|CLOEXEC"
	if o.recursive {
		flags |= unix.AT_RECURSIVE
		show += "|RECURSIVE"
	}
	return c.add("open "+source, "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text(source), imm(flags, show)).into(fd)
}

// bind mounts a file or directory of the host.
func (c *compiler) bind(i int, m *specs.Mount, dest string, o mountOptions) error {
	source := c.sourcePath(m)
	if len(o.data) > 0 {
		return invalid(c.pointer+"/options", "a bind mount takes no file system option such as %q", o.data[0])
	}
	if c.Host.Kind == nil {
		return unsupported(c.pointer+"/source", "a bind mount, as nothing is known of the host's files")
	}
	kind, err := c.Host.Kind(source)
	if err != nil {
		return &Error{Pointer: c.pointer + "/source", Err: err}
	}
	fd, opened := c.sources[i]
	if opened {
		c.unlessOpen(fd, func() { c.openSource(fd, source, o) })
	} else {
		fd = c.newSlot("mount.bind")
		c.openSource(fd, source, o)
	}
	if o.set|o.clr != 0 {
		c.add("set the options of "+source, "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), mountAttr(o.set, o.clr, 0), num(mountAttrSize)).
			why("before it is attached: it is never seen without them")
	}
	c.attach(fd, dest, kind, false)
	c.after(dest, fd, o)
	return nil
}

// after sets what holds for a whole tree, and the propagation, once the mount is in its place.
func (c *compiler) after(dest string, fd Slot, o mountOptions) {
	if o.rset|o.rclr != 0 {
		c.add("set the options of all mounts at /"+dest, "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(o.rset, o.rclr, 0), num(mountAttrSize))
	}
	if o.propagation != 0 {
		flags, show := uint64(unix.AT_EMPTY_PATH), "EMPTY_PATH"
		if o.propagationTree {
			flags |= unix.AT_RECURSIVE
			show += "|RECURSIVE"
		}
		c.add("set the propagation of /"+dest, "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(flags, show), mountAttr(0, 0, o.propagation), num(mountAttrSize))
	}
	c.close(fd)
}

// attachGiven puts a mount in its place that the creator made.
func (c *compiler) attachGiven(g GivenMount, dest string, o mountOptions) {
	fd := c.newSlot("mount.given")
	c.set("take the mount for /"+dest+" that was given", fd, fdArg(g.FD, "fd.mount"))
	if o.set|o.clr != 0 {
		c.add("set the options of /"+dest, "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), mountAttr(o.set, o.clr, 0), num(mountAttrSize)).
			why("before it is attached: it is never seen without them")
	}
	c.attach(fd, dest, g.Kind, false)
	c.after(dest, fd, o)
}

// remount changes the options of what is mounted already; mount_setattr(2) refuses a place where nothing is.
func (c *compiler) remount(dest string, o mountOptions) error {
	if len(o.data)+len(o.superblock) > 0 {
		return unsupported(c.pointer+"/options", "remounting with options of the file system")
	}
	fd := c.newSlot("at." + dest)
	c.add("open /"+dest+" in the root file system", "openat2", unix.SYS_OPENAT2, slot(c.root), text(dest),
		openHow(unix.O_PATH, 0, inRoot), num(openHowSize)).into(fd)
	if o.set|o.clr != 0 {
		c.add("change the options of /"+dest, "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
			imm(unix.AT_EMPTY_PATH, "EMPTY_PATH"), mountAttr(o.set, o.clr, 0), num(mountAttrSize))
	}
	c.after(dest, fd, o)
	return nil
}

// attach puts the detached mount fd at dest, which is made if it is missing.
func (c *compiler) attach(fd Slot, dest string, kind FileKind, strict bool) {
	at := c.destination(dest, kind, strict)
	if !strict {
		c.notInProc(at, dest)
	}
	c.add("mount /"+dest, "move_mount", unix.SYS_MOVE_MOUNT, slot(fd), text(""), slot(at), text(""),
		imm(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH, "F_EMPTY_PATH|T_EMPTY_PATH"))
	c.close(at)
}

// notInProc refuses a place that a link of the image puts into /proc: a volume there would pass for the kernel's files, which are
// read and written to protect the container (CVE-2019-16884). Who names a place below /proc means it. /dev and /sys, where
// the default mounts are, are left alone.
func (c *compiler) notInProc(at Slot, dest string) {
	top, _, _ := strings.Cut(dest, "/")
	if top == "proc" || top == "dev" || top == "sys" {
		return
	}
	fs, good := c.newBuffer("statfs", statfsSize), c.label("place")
	c.add("ask what file system /"+dest+" is on", "fstatfs", unix.SYS_FSTATFS, slot(at), addr(fs))
	c.add("is it no procfs?", "jump_if_not_equal", NrJumpNotEqual, slot(fs), imm(^uint64(0), "all"), imm(unix.PROC_SUPER_MAGIC, "PROC_SUPER_MAGIC"), target(good))
	c.fail("mount /"+dest+": a link leads it into /proc", num(int(unix.ELOOP)))
	c.land(good)
}

// statfsSize is enough for a struct statfs, whose first word is the type.
const statfsSize = 128

// rootRelative is a path of the container without leading slash and without "..", "" for the root.
func rootRelative(p string) string { return strings.TrimPrefix(path.Clean("/"+p), "/") }

// inRoot is how paths of the container are opened: the kernel resolves them, links included, inside the root.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// destination opens dest (O_PATH) inside the root, and makes it with its parents if it is missing.
// strict refuses symbolic links on the way (CVE-2019-19921: /proc and /sys must be themselves).
func (c *compiler) destination(dest string, kind FileKind, strict bool) Slot {
	if dest == "" {
		return c.root
	}
	s := c.newSlot("at." + dest)
	made, done := c.label("make"), c.label("have")
	resolve := uint64(inRoot)
	if strict {
		resolve |= unix.RESOLVE_NO_SYMLINKS
	}
	how := openHow(unix.O_PATH, 0, resolve)
	c.add("open /"+dest+" in the root file system", "openat2", unix.SYS_OPENAT2, slot(c.root), text(dest), how, num(openHowSize)).
		into(s).on(made, uint32(unix.ENOENT)).then(done)
	first := len(c.plan.Steps)
	if c.Host.Resolve != nil {
		dest = c.Host.Resolve(dest)
	}
	parent := c.parents(dest)
	base := path.Base(dest)
	if kind == Directory {
		c.add("make the directory /"+dest, "mkdirat", unix.SYS_MKDIRAT, slot(parent), text(base), imm(0o755, "0755"))
	} else {
		// Not for writing: the kernel would count a writer, and refuse to make the root read-only while it does.
		file := c.newSlot("file")
		c.add("make the file /"+dest, "openat2", unix.SYS_OPENAT2, slot(parent), text(base),
			openHow(unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644, inRoot), num(openHowSize)).into(file)
		c.close(file)
	}
	c.plan.Steps[first].Label = made
	c.add("open /"+dest+" in the root file system", "openat2", unix.SYS_OPENAT2, slot(c.root), text(dest), how, num(openHowSize)).into(s)
	if parent != c.root {
		c.close(parent)
	}
	c.land(done)
	return s
}

// parents opens, and makes where missing, the directories above dest, and returns the last one.
func (c *compiler) parents(dest string) Slot {
	parent := c.root
	parts := strings.Split(dest, "/")
	for i := range parts[:len(parts)-1] {
		prefix := strings.Join(parts[:i+1], "/")
		s := c.newSlot("dir." + prefix)
		made, done := c.label("make"), c.label("have")
		how := openHow(unix.O_PATH|unix.O_DIRECTORY, 0, inRoot)
		c.add("open /"+prefix+" in the root file system", "openat2", unix.SYS_OPENAT2, slot(c.root), text(prefix), how, num(openHowSize)).
			into(s).on(made, uint32(unix.ENOENT)).then(done)
		c.add("make the directory /"+prefix, "mkdirat", unix.SYS_MKDIRAT, slot(parent), text(parts[i]), imm(0o755, "0755")).at(made)
		c.add("open /"+prefix+" in the root file system", "openat2", unix.SYS_OPENAT2, slot(c.root), text(prefix), how, num(openHowSize)).into(s)
		c.land(done)
		if parent != c.root {
			c.close(parent)
		}
		parent = s
	}
	return parent
}

// workingDirectory makes process.cwd, as other runtimes do: an image may name one that no layer has.
func (c *compiler) workingDirectory() error {
	c.pointer = "/process/cwd"
	if cwd := c.Spec.Process.Cwd; !path.IsAbs(cwd) {
		return invalid(c.pointer, "%q is not absolute", cwd)
	}
	if dest := rootRelative(c.Spec.Process.Cwd); dest != "" {
		c.destination(dest, Directory, false)
	}
	return nil
}
