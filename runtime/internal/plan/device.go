//go:build linux

package plan

import (
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// device is a node to make.
type device struct {
	pointer  string
	path     string // relative to the root
	mode     uint32 // type and permissions
	dev      uint64
	uid, gid uint32
}

// defaultDevices are those of config-linux.md, Default Devices; the console comes with the terminal.
func defaultDevices() []device {
	node := func(name string, major, minor uint32) device {
		return device{pointer: "/linux/devices", path: "dev/" + name, mode: unix.S_IFCHR | 0o666, dev: unix.Mkdev(major, minor)}
	}
	return []device{
		node("null", 1, 3), node("zero", 1, 5), node("full", 1, 7), node("random", 1, 8), node("urandom", 1, 9), node("tty", 5, 0),
	}
}

// devices fills /dev, unless the configuration binds one from elsewhere.
func (c *compiler) devices() error {
	for _, m := range c.Spec.Mounts {
		if o := parseMountOptions(m.Options); rootRelative(m.Destination) == "dev" && (o.bind || m.Type == "bind") {
			c.umask(0)
			return nil
		}
	}
	list, err := c.deviceList()
	if err != nil {
		return err
	}
	c.own = true
	c.pointer = "/linux/devices"
	umask := c.newSlot("umask")
	c.add("take away the umask", "umask", unix.SYS_UMASK, num(0)).into(umask).why("modes of nodes are given in full")
	c.dev = c.destination("dev", Directory, true)
	for _, d := range list {
		c.pointer = d.pointer
		if c.Host.InUserNamespace || c.haveNS&unix.CLONE_NEWUSER != 0 {
			c.bindDevice(d)
		} else {
			c.makeDevice(d)
		}
	}
	c.pointer = "/linux/devices"
	for _, l := range [][2]string{
		{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
	} {
		next := c.label("have")
		c.add("make the link /dev/"+l[0], "symlinkat", unix.SYS_SYMLINKAT, text(l[1]), slot(c.dev), text(l[0])).on(next, uint32(unix.EEXIST))
		c.land(next)
	}
	c.ptmx()
	c.umask(umask)
	return nil
}

// deviceList is the default devices with those of the configuration in their place or after them.
func (c *compiler) deviceList() ([]device, error) {
	list := defaultDevices()
	for i, d := range c.linux.Devices {
		n, err := configDevice("/linux/devices/"+strconv.Itoa(i), d)
		if err != nil {
			return nil, err
		}
		if n.path == "dev/ptmx" || n.path == "dev/console" {
			continue // they come with the container's own terminals
		}
		replaced := false
		for k := range list {
			if list[k].path == n.path {
				list[k], replaced = n, true
			}
		}
		if !replaced {
			list = append(list, n)
		}
	}
	return list, nil
}

func configDevice(pointer string, d specs.LinuxDevice) (device, error) {
	n := device{pointer: pointer, path: rootRelative(d.Path), mode: 0o666}
	if d.FileMode != nil {
		n.mode = uint32(*d.FileMode) & 0o7777
	}
	switch d.Type {
	case "c", "u":
		n.mode |= unix.S_IFCHR
	case "b":
		n.mode |= unix.S_IFBLK
	case "p":
		n.mode |= unix.S_IFIFO
	default:
		return n, invalid(pointer+"/type", "%q is none of c, b, u, p", d.Type)
	}
	if d.Type != "p" {
		if d.Major < 0 || d.Minor < 0 || d.Major > 0xfffff || d.Minor > 0xfffff {
			return n, invalid(pointer, "device number %d:%d", d.Major, d.Minor)
		}
		n.dev = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	}
	if d.UID != nil {
		n.uid = *d.UID
	}
	if d.GID != nil {
		n.gid = *d.GID
	}
	if n.path == "" {
		return n, invalid(pointer+"/path", "%q names no file", d.Path)
	}
	return n, nil
}

// parentAndBase is the open directory for a path and its last element.
func (c *compiler) parentAndBase(p string) (Slot, string) {
	if rest, ok := strings.CutPrefix(p, "dev/"); ok && !strings.Contains(rest, "/") {
		return c.dev, rest
	}
	return c.parents(p), path.Base(p)
}

// makeDevice makes a node. One that is there already must be the same (config-linux.md, Devices, MUST).
func (c *compiler) makeDevice(d device) {
	dir, base := c.parentAndBase(d.path)
	exists, done := c.label("exists"), c.label("node")
	made := c.add("make the device /"+d.path, "mknodat", unix.SYS_MKNODAT, slot(dir), text(base),
		imm(uint64(d.mode), "0"+strconv.FormatUint(uint64(d.mode), 8)), imm(d.dev, strconv.Itoa(int(unix.Major(d.dev)))+":"+strconv.Itoa(int(unix.Minor(d.dev))))).
		on(exists, uint32(unix.EEXIST))
	if d.uid != 0 || d.gid != 0 {
		c.add("give /"+d.path+" its owner", "fchownat", unix.SYS_FCHOWNAT, slot(dir), text(base), num(int(d.uid)), num(int(d.gid)),
			imm(unix.AT_SYMLINK_NOFOLLOW, "SYMLINK_NOFOLLOW")).then(done)
	} else {
		made.then(done)
	}
	first := len(c.plan.Steps)
	c.checkNode(dir, base, d)
	c.plan.Steps[first].Label = exists
	c.land(done)
}

// Offsets in struct statx.
const (
	statxSize = 256
	statxMode = 0x1c // u16
	statxRdev = 0x80 // major u32, minor u32

	statxModeShift = statxMode % 8 * 8 // where the mode is in its cell
)

// checkNode compares type and number of an existing file with what was asked for.
func (c *compiler) checkNode(dir Slot, base string, d device) {
	st := c.newBuffer("statx", statxSize)
	c.add("look at the existing /"+d.path, "statx", unix.SYS_STATX, slot(dir), text(base), imm(unix.AT_SYMLINK_NOFOLLOW, "SYMLINK_NOFOLLOW"),
		imm(unix.STATX_TYPE|unix.STATX_MODE, "TYPE|MODE"), addr(st))
	same, bad := c.label("same"), c.label("differs")
	c.add("is it of the right type?", "jump_if_not_equal", NrJumpNotEqual, slot(st+statxMode/8), imm(unix.S_IFMT<<statxModeShift, "S_IFMT"),
		imm(uint64(d.mode&unix.S_IFMT)<<statxModeShift, "type"), target(bad))
	c.jumpEqual("is it the right device?", slot(st+statxRdev/8), ^uint64(0), uint64(unix.Major(d.dev))|uint64(unix.Minor(d.dev))<<32, same)
	c.fail("make the device /"+d.path+": another file is there", num(int(unix.EEXIST))).at(bad)
	c.land(same)
}

// bindDevice binds the host's node, where none may be made.
func (c *compiler) bindDevice(d device) {
	fd := c.newSlot("mount." + path.Base(d.path))
	c.add("open the host's /"+d.path, "open_tree", unix.SYS_OPEN_TREE, cwdFD(), text("/"+d.path),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, "CLONE|CLOEXEC")).into(fd)
	c.attach(fd, d.path, NotDirectory, false)
}

// ptmx is a link to the container's own, whatever the image has there (config-linux.md, Default Devices).
func (c *compiler) ptmx() {
	replace, done := c.label("replace"), c.label("ptmx")
	add := func() stepRef {
		return c.add("make the link /dev/ptmx", "symlinkat", unix.SYS_SYMLINKAT, text("pts/ptmx"), slot(c.dev), text("ptmx"))
	}
	add().on(replace, uint32(unix.EEXIST)).then(done)
	c.add("remove the old /dev/ptmx", "unlinkat", unix.SYS_UNLINKAT, slot(c.dev), text("ptmx"), num(0)).at(replace)
	add()
	c.land(done)
}

// umask sets process.user.umask. When the configuration says nothing, what was before is restored (config.md, POSIX process); was is 0
// where nothing was changed.
func (c *compiler) umask(was Slot) {
	u := c.Spec.Process.User.Umask
	if u == nil && was == 0 {
		return
	}
	v := slot(was)
	if u != nil {
		c.pointer = "/process/user/umask"
		v = imm(uint64(*u), "0"+strconv.FormatUint(uint64(*u), 8))
	}
	c.add("set the umask", "umask", unix.SYS_UMASK, v)
}
