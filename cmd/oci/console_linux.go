package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// attachConsole joins this process's terminal to a container's, whose master is master: raw mode,
// size, and bytes both ways until the container's side is closed. The function it gives waits for
// that end and puts the terminal back as it was. Without interactive nothing is read from in.
func attachConsole(master, in *os.File, out io.Writer, interactive bool) (wait func(), err error) {
	restore := func() {}
	if term.IsTerminal(int(in.Fd())) {
		stop := followSize(master, in)
		restore = stop
		if interactive {
			old, err := term.MakeRaw(int(in.Fd()))
			if err != nil {
				stop()
				return nil, fmt.Errorf("attach console: %w", err)
			}
			restore = func() { stop(); _ = term.Restore(int(in.Fd()), old) }
		}
	}
	if interactive {
		// Ends with the process: the read of a terminal cannot be broken off.
		go func() {
			_, _ = io.Copy(master, in)
			_, _ = master.Write([]byte{endOfTransmission})
		}()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, master) // EIO when the last slave is closed (pty(7))
	}()
	return func() { <-done; restore() }, nil
}

// endOfTransmission is what a terminal in canonical mode takes for the end of input (termios(3)
// VEOF): the input of this process has ended, so that of the container shall.
const endOfTransmission = 4

// followSize keeps the size of a container's terminal that of in.
func followSize(master, in *os.File) (stop func()) {
	resize := func() {
		size, err := unix.IoctlGetWinsize(int(in.Fd()), unix.TIOCGWINSZ)
		raw, errRaw := master.SyscallConn()
		if err == nil && errRaw == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
		}
	}
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	resize()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changes:
				resize()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changes)
		close(done)
	}
}
