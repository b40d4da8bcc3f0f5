package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// console is the host's end of a container's terminal: the socket on which the runtime sends the
// master of the pseudo-terminal, and then the master.
type console struct {
	dir      string
	listener *net.UnixListener
	master   *os.File
}

// newConsole listens on a socket in a directory of its own. The path that it gives to the
// runtime goes through /proc/self/fd, as a socket's address has room for 107 bytes only (unix(7)).
func newConsole(parent string) (c *console, err error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	dir, err := os.MkdirTemp(parent, ".console-")
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	c = &console{dir: dir}
	c.listener, err = listenUnix(filepath.Join(dir, "socket"))
	if err != nil {
		c.close()
		return nil, fmt.Errorf("open console: %w", err)
	}
	return c, nil
}

// maxSocketPath is the length of sun_path less its zero (unix(7)).
const maxSocketPath = 107

func listenUnix(path string) (*net.UnixListener, error) {
	if len(path) <= maxSocketPath {
		return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if l != nil {
		l.SetUnlinkOnClose(false) // the fd in its name is closed by then
	}
	return l, err
}

func (c *console) socket() string { return filepath.Join(c.dir, "socket") }

// receive takes the master that the runtime sends: one message, one descriptor.
func (c *console) receive() error {
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return fmt.Errorf("receive console: %w", err)
	}
	defer conn.Close()
	name, oob := make([]byte, unix.PathMax), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, oob)
	if err != nil {
		return fmt.Errorf("receive console: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return errors.New("receive console: not one control message")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return errors.New("receive console: not one descriptor")
	}
	unix.CloseOnExec(fds[0])
	_ = unix.SetNonblock(fds[0], true) // so that Close ends a Read (os.NewFile)
	c.master = os.NewFile(uintptr(fds[0]), "console")
	return nil
}

// attach joins the terminal in to the container's: raw mode, size, and bytes both ways, until the
// container's side is closed. The function it gives waits for that and restores the terminal.
func (c *console) attach(in *os.File, out io.Writer, interactive bool) (wait func(), err error) {
	restore := func() {}
	if term.IsTerminal(int(in.Fd())) {
		if interactive {
			old, err := term.MakeRaw(int(in.Fd()))
			if err != nil {
				return nil, fmt.Errorf("attach console: %w", err)
			}
			restore = func() { _ = term.Restore(int(in.Fd()), old) }
		}
		stop := c.followSize(in)
		rest := restore
		restore = func() { stop(); rest() }
	}
	if interactive {
		go func() { _, _ = io.Copy(c.master, in) }() // ends with the process: a terminal's read cannot be broken off
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, c.master) // EIO when the last slave is closed (pty(7))
	}()
	return func() { <-done; restore() }, nil
}

// followSize keeps the size of the container's terminal that of in.
func (c *console) followSize(in *os.File) (stop func()) {
	resize := func() {
		raw, err := c.master.SyscallConn()
		size, errSize := unix.IoctlGetWinsize(int(in.Fd()), unix.TIOCGWINSZ)
		if err == nil && errSize == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
		}
	}
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	resize()
	go func() {
		for range changes {
			resize()
		}
	}()
	return func() { signal.Stop(changes); close(changes) }
}

func (c *console) close() {
	if c.listener != nil {
		c.listener.Close()
	}
	if c.master != nil {
		c.master.Close()
	}
	os.RemoveAll(c.dir)
}
