//go:build linux

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelFiles sets the names of the machine and what is set by writing to procfs.
func (c *compiler) kernelFiles() error {
	if h := c.Spec.Hostname; h != "" {
		c.pointer = "/hostname"
		if c.haveNS&unix.CLONE_NEWUTS == 0 {
			return invalid(c.pointer, "a host name needs a uts namespace")
		}
		c.add("set the host name", "sethostname", unix.SYS_SETHOSTNAME, text(h), num(len(h)))
	}
	if d := c.Spec.Domainname; d != "" {
		c.pointer = "/domainname"
		if c.haveNS&unix.CLONE_NEWUTS == 0 {
			return invalid(c.pointer, "a domain name needs a uts namespace")
		}
		c.add("set the domain name", "setdomainname", unix.SYS_SETDOMAINNAME, text(d), num(len(d)))
	}
	if c.private(unix.CLONE_NEWNET) {
		c.loopback()
	}
	if err := c.sysctls(); err != nil {
		return err
	}
	c.setOOMScore()
	return c.labels()
}

// joinsOwn tells whether the configuration names, by a path, a namespace that is the creator's own.
func (c *compiler) joinsOwn(flag uint64) bool {
	for _, n := range c.linux.Namespaces {
		if n.Path != "" && namespaceFlag(n.Type) == flag && c.Host.Own != nil && c.Host.Own(n.Path) {
			return true
		}
	}
	return false
}

func (c *compiler) setOOMScore() {
	v := c.Spec.Process.OOMScoreAdj
	if v == nil {
		return
	}
	c.pointer = "/process/oomScoreAdj"
	var tolerate uint32
	if c.Host.InUserNamespace || c.haveNS&unix.CLONE_NEWUSER != 0 {
		tolerate = uint32(unix.EACCES) // lowering needs CAP_SYS_RESOURCE on the host: nobody rootless has it
	}
	c.writeFile("set the OOM score", slot(c.procfs()), "self/oom_score_adj", strconv.Itoa(*v), tolerate)
}

// loopback brings up lo. No clause asks for it; every runtime does.
func (c *compiler) loopback() {
	c.pointer = "/linux/namespaces"
	s := c.newSlot("socket")
	c.add("open a socket", "socket", unix.SYS_SOCKET, imm(unix.AF_INET, "AF_INET"), imm(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, "SOCK_DGRAM|SOCK_CLOEXEC"), num(0)).into(s)
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	ifreq[16] = unix.IFF_UP
	c.add("bring up lo", "ioctl", unix.SYS_IOCTL, slot(s), imm(unix.SIOCSIFFLAGS, "SIOCSIFFLAGS"), mem(ifreq, "{lo IFF_UP}"))
}

// procfs is a procfs that this plan mounted: what is written below it lands in procfs, whatever the container has at /proc (CVE-2025-52881).
func (c *compiler) procfs() Slot {
	if c.proc == 0 {
		c.proc = c.fsMount("proc", "proc", mountOptions{})
	}
	return c.proc
}

// writeFile writes text to a file below dir; errno tolerate, unless 0, is not a failure.
func (c *compiler) writeFile(name string, dir Arg, file, content string, tolerate uint32) {
	fd := c.newSlot("file")
	done := c.label("written")
	resolve := uint64(unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV)
	if strings.HasPrefix(file, "/") {
		resolve = 0
	}
	open := c.add(name+" (open "+file+")", "openat2", unix.SYS_OPENAT2, dir, text(file), openHow(unix.O_WRONLY, 0, resolve), num(openHowSize)).into(fd)
	write := c.add(name, "write", unix.SYS_WRITE, slot(fd), text(content), num(len(content)))
	if tolerate != 0 {
		open.on(done, tolerate)
		write.on(done, tolerate)
		c.land(done)
	}
}

// sysctls writes those parameters that belong to a namespace of the container's own (config-linux.md, Sysctl).
func (c *compiler) sysctls() error {
	for _, key := range slices.Sorted(maps.Keys(c.linux.Sysctl)) {
		c.pointer = "/linux/sysctl/" + strings.ReplaceAll(key, "/", "~1")
		file := sysctlPath(key)
		if err := c.sysctlAllowed(file); err != nil {
			return &Error{Pointer: c.pointer, Err: err}
		}
		c.writeFile("set "+key, slot(c.procfs()), "sys/"+file, c.linux.Sysctl[key], 0)
	}
	return nil
}

// sysctlPath turns net.ipv4.ip_forward or net/ipv4/conf/eth0.1/x into a path (sysctl(8)): the first separator decides.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		return strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	return key
}

func (c *compiler) sysctlAllowed(file string) error {
	if strings.Contains("/"+file+"/", "/../") || strings.HasPrefix(file, "/") {
		return fmt.Errorf("%w: %q is not the name of a parameter", ErrInvalid, file)
	}
	var ns uint64
	switch {
	case file == "kernel/hostname":
		return fmt.Errorf("%w: use hostname", ErrInvalid)
	case file == "kernel/domainname":
		ns = unix.CLONE_NEWUTS
	case strings.HasPrefix(file, "net/"):
		ns = unix.CLONE_NEWNET
	case strings.HasPrefix(file, "user/"):
		ns = unix.CLONE_NEWUSER
	case strings.HasPrefix(file, "fs/mqueue/"):
		ns = unix.CLONE_NEWIPC
	case file == "kernel/sem", strings.HasPrefix(file, "kernel/msg"), strings.HasPrefix(file, "kernel/shm"):
		ns = unix.CLONE_NEWIPC
	default:
		return fmt.Errorf("%w: the parameter belongs to the whole machine", ErrInvalid)
	}
	if c.haveNS&ns == 0 || c.joinsOwn(ns) {
		return fmt.Errorf("%w: the parameter would be changed for the host: it needs %s", ErrInvalid, cloneNames(ns))
	}
	return nil
}

// labels sets what the security modules shall do at execve.
func (c *compiler) labels() error {
	p := c.Spec.Process
	if p.ApparmorProfile != "" {
		c.pointer = "/process/apparmorProfile"
		if !c.Host.AppArmor {
			return unsupported(c.pointer, "AppArmor is off on this machine; profile %q cannot be applied", p.ApparmorProfile)
		}
		c.writeFile("set the AppArmor profile", slot(c.procfs()), "self/attr/apparmor/exec", "exec "+p.ApparmorProfile, 0)
	}
	if p.SelinuxLabel != "" {
		c.pointer = "/process/selinuxLabel"
		if !c.Host.SELinux {
			return unsupported(c.pointer, "SELinux is off on this machine; label %q cannot be applied", p.SelinuxLabel)
		}
		c.writeFile("set the SELinux label", slot(c.procfs()), "self/attr/exec", p.SelinuxLabel, 0)
	}
	return nil
}

// hiddenPaths makes paths read-only and covers others (config-linux.md, Masked Paths, Readonly Paths). What is not there is passed over.
func (c *compiler) hiddenPaths() error {
	for i, p := range c.linux.ReadonlyPaths {
		c.pointer = "/linux/readonlyPaths/" + strconv.Itoa(i)
		if err := c.readonlyPath(p); err != nil {
			return err
		}
	}
	empty := Slot(0)
	for i, p := range c.linux.MaskedPaths {
		c.pointer = "/linux/maskedPaths/" + strconv.Itoa(i)
		if err := c.maskedPath(p, &empty); err != nil {
			return err
		}
	}
	return nil
}

// hidden opens a path to be hidden; label is where to go if there is none.
func (c *compiler) hidden(p, label string) (Slot, error) {
	rel := rootRelative(p)
	if rel == "" || !strings.HasPrefix(p, "/") {
		return 0, invalid(c.pointer, "%q is not an absolute path below the root", p)
	}
	s := c.newSlot("at." + rel)
	c.add("open "+p, "openat2", unix.SYS_OPENAT2, slot(c.root), text(rel), openHow(unix.O_PATH, 0, inRoot), num(openHowSize)).
		into(s).on(label, uint32(unix.ENOENT), uint32(unix.ENOTDIR))
	return s, nil
}

func (c *compiler) readonlyPath(p string) error {
	none := c.label("none")
	at, err := c.hidden(p, none)
	if err != nil {
		return err
	}
	fd := c.newSlot("mount.readonly")
	c.add("take "+p+" as a mount", "open_tree", unix.SYS_OPEN_TREE, slot(at), text(""),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "CLONE|CLOEXEC|EMPTY_PATH|RECURSIVE")).into(fd)
	c.add("make it read-only", "mount_setattr", unix.SYS_MOUNT_SETATTR, slot(fd), text(""),
		imm(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, "EMPTY_PATH|RECURSIVE"), mountAttr(unix.MOUNT_ATTR_RDONLY, 0, 0), num(mountAttrSize))
	c.moveOnto(fd, at, "make "+p+" read-only")
	c.land(none)
	return nil
}

func (c *compiler) moveOnto(fd, at Slot, name string) stepRef {
	return c.add(name, "move_mount", unix.SYS_MOVE_MOUNT, slot(fd), text(""), slot(at), text(""),
		imm(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH, "F_EMPTY_PATH|T_EMPTY_PATH"))
}

// maskedPath covers a directory with one empty read-only tmpfs, shared by all of them, and a file with the host's
// /dev/null, never the container's (CVE-2025-31133).
func (c *compiler) maskedPath(p string, empty *Slot) error {
	none, dir := c.label("none"), c.label("mask.dir")
	at, err := c.hidden(p, none)
	if err != nil {
		return err
	}
	fd := c.newSlot("mount.mask")
	if c.nullFD == 0 {
		return invalid(c.pointer, "no /dev/null was opened")
	}
	c.add("take the host's /dev/null as a mount", "open_tree", unix.SYS_OPEN_TREE, slot(c.nullFD), text(""),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH, "CLONE|CLOEXEC|EMPTY_PATH")).into(fd)
	c.moveOnto(fd, at, "mask the file "+p).on(dir, uint32(unix.ENOTDIR), uint32(unix.EINVAL)).then(none)
	if *empty == 0 {
		*empty = c.newSlot("mount.empty")
	}
	have := c.label("empty")
	c.add("is there an empty directory to mask with?", "jump_if_not_equal", NrJumpNotEqual, slot(*empty), imm(^uint64(0), "all"), num(0), target(have)).at(dir)
	ctx := c.newSlot("fs.empty")
	c.add("open a tmpfs", "fsopen", unix.SYS_FSOPEN, text("tmpfs"), imm(fsopenCloexec, "CLOEXEC")).into(ctx)
	c.add("let it hold nothing", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigSetString, "SET_STRING"), text("nr_blocks"), text("1"), num(0))
	c.add("create the tmpfs", "fsconfig", unix.SYS_FSCONFIG, slot(ctx), imm(fsconfigCreate, "CMD_CREATE"), null, null, num(0))
	c.add("mount it read-only", "fsmount", unix.SYS_FSMOUNT, slot(ctx), imm(fsmountCloexec, "CLOEXEC"), imm(unix.MOUNT_ATTR_RDONLY, "RDONLY")).into(*empty)
	c.moveOnto(*empty, at, "mask the directory "+p).then(none)
	c.add("take the empty directory once more", "open_tree", unix.SYS_OPEN_TREE, slot(*empty), text(""),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH, "CLONE|CLOEXEC|EMPTY_PATH")).into(fd).at(have)
	c.moveOnto(fd, at, "mask the directory "+p)
	c.land(none)
	return nil
}
