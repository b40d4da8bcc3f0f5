//go:build linux

package plan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// console opens a terminal from the container's own devpts, sends its master to the creator, and makes the
// other side stdin, stdout, stderr and /dev/console. All by descriptor: no name in the container is
// trusted (CVE-2025-52565, CVE-2026-88264).
func (c *compiler) console() error {
	p := c.Spec.Process
	if !p.Terminal {
		return nil
	}
	c.pointer = "/process/terminal"
	if !c.own {
		return unsupported(c.pointer, "a terminal in a container whose /dev is bound from elsewhere")
	}
	slave, err := c.terminal()
	if err != nil {
		return err
	}
	fd := c.newSlot("mount.console")
	c.add("open the terminal as a mount", "open_tree", unix.SYS_OPEN_TREE, slot(slave), text(""),
		imm(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH, "CLONE|CLOEXEC|EMPTY_PATH")).into(fd)
	c.attach(fd, "dev/console", NotDirectory, true)
	c.takeTerminal(slave)
	return nil
}

// terminal opens a terminal below c.dev, sends its master away, and returns its other side.
func (c *compiler) terminal() (Slot, error) {
	if c.FDs.Console < 0 {
		return 0, invalid(c.pointer, "a terminal needs someone to take it")
	}
	p := c.Spec.Process
	master, slave := c.newSlot("master"), c.newSlot("slave")
	c.add("open a terminal of the container", "openat2", unix.SYS_OPENAT2, slot(c.dev), text("pts/ptmx"),
		openHow(unix.O_RDWR|unix.O_NOCTTY, 0, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS), num(openHowSize)).into(master)
	c.add("unlock it", "ioctl", unix.SYS_IOCTL, slot(master), imm(unix.TIOCSPTLCK, "TIOCSPTLCK"), mem(make([]byte, 8), "&0"))
	c.add("open its other side", "ioctl", unix.SYS_IOCTL, slot(master), imm(unix.TIOCGPTPEER, "TIOCGPTPEER"),
		imm(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, "O_RDWR|O_NOCTTY|O_CLOEXEC")).into(slave).
		why("by descriptor, not by the name /dev/pts/N")
	if s := p.ConsoleSize; s != nil && (s.Height != 0 || s.Width != 0) {
		c.pointer = "/process/consoleSize"
		ws := make([]byte, 8)
		binary.LittleEndian.PutUint16(ws, uint16(s.Height))
		binary.LittleEndian.PutUint16(ws[2:], uint16(s.Width))
		c.add("set its size", "ioctl", unix.SYS_IOCTL, slot(master), imm(unix.TIOCSWINSZ, "TIOCSWINSZ"), mem(ws, "size"))
	}
	c.pointer = "/process/terminal"
	c.sendMaster(master)
	return slave, nil
}

// takeTerminal makes the terminal the controlling one, and standard input, output and error.
func (c *compiler) takeTerminal(slave Slot) {
	c.add("begin a session", "setsid", unix.SYS_SETSID)
	c.add("make the terminal its controlling terminal", "ioctl", unix.SYS_IOCTL, slot(slave), imm(unix.TIOCSCTTY, "TIOCSCTTY"), num(0))
	owned := c.label("owned")
	c.add("give the terminal to the user", "fchown", unix.SYS_FCHOWN, slot(slave), num(int(c.Spec.Process.User.UID)), num(-1)).
		on(owned, uint32(unix.EPERM), uint32(unix.EINVAL))
	c.land(owned)
	for i, n := range []string{"stdin", "stdout", "stderr"} {
		c.add("make the terminal "+n, "dup3", unix.SYS_DUP3, slot(slave), num(i), num(0))
	}
}

// sendMaster sends the master as SCM_RIGHTS. The control message is three cells: its length, SOL_SOCKET and SCM_RIGHTS, and the descriptor.
func (c *compiler) sendMaster(master Slot) {
	head := c.newSlot("cmsg.len")
	kind := c.newSlot("cmsg.level")
	fd := c.newSlot("cmsg.fd")
	c.set("address the message", head, imm(20, "20"))
	c.set("of descriptors", kind, imm(unix.SOL_SOCKET|unix.SCM_RIGHTS<<32, "SOL_SOCKET, SCM_RIGHTS"))
	c.set("with the terminal", fd, slot(master))
	iov := mem(words(0, 9), "iov", Reloc{0, text("/dev/ptmx")})
	msg := mem(words(0, 0, 0, 1, 0, 24, 0), "msghdr", Reloc{16, iov}, Reloc{32, addr(head)})
	c.add("send the terminal to the creator", "sendmsg", unix.SYS_SENDMSG, fdArg(c.FDs.Console, "fd.console"), msg, imm(unix.MSG_NOSIGNAL, "MSG_NOSIGNAL"))
}
