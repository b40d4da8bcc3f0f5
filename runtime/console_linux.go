package runtime

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// takeConsole receives the terminal's master from the container's process, and hands it on to the console socket if there is one.
func (c *creation) takeConsole() error {
	master, err := receiveFD(c.console[0])
	unix.Close(c.console[0]) // a socket
	c.console[0] = -1
	if err != nil {
		return fmt.Errorf("receive the terminal: %w", err)
	}
	name := "/dev/pts/ptmx"
	if n, err := unix.IoctlGetInt(master, unix.TIOCGPTN); err == nil {
		name = fmt.Sprintf("/dev/pts/%d", n)
	}
	if c.ConsoleSocket == "" {
		// Non-blocking, so that the runtime's poller can end a pending read when it is closed.
		if err := unix.SetNonblock(master, true); err != nil {
			return err
		}
		c.live.console = os.NewFile(uintptr(master), name)
		return nil
	}
	defer unix.Close(master) // handed on
	return sendConsole(c.ConsoleSocket, name, master)
}

func receiveFD(sock int) (int, error) {
	buf, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return -1, err
	}
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, errors.New("the message holds no descriptor")
}

// sendConsole sends the master to a console socket: one message, the terminal's name and the descriptor, as runc does.
func sendConsole(path, name string, master int) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("console socket: %w", err)
	}
	defer conn.Close() // the message is sent or not
	if _, _, err := conn.WriteMsgUnix([]byte(name), unix.UnixRights(master), nil); err != nil {
		return fmt.Errorf("console socket %s: %w", path, err)
	}
	return nil
}

// Console is the master of the container's terminal, for the process that created it Attached; nil without one. The caller closes it.
func (c *Container) Console() *os.File {
	if c.live == nil {
		return nil
	}
	return c.live.console
}
