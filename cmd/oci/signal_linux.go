package main

import (
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"
)

// forwardSignals passes every signal that this process gets on to send, until stop is called.
// It leaves out what is about this process alone: its children, its terminal's size, its pipes, its
// job control, and the Go runtime's own.
func forwardSignals(send func(unix.Signal)) (stop func()) {
	own := []unix.Signal{
		unix.SIGCHLD, unix.SIGWINCH, unix.SIGPIPE, unix.SIGURG, unix.SIGTTIN, unix.SIGTTOU, unix.SIGTSTP, unix.SIGPROF,
		unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
	}
	var all []os.Signal
	for n := unix.Signal(1); n < 32; n++ {
		if !slices.Contains(own, n) {
			all = append(all, n)
		}
	}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, all...)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				send(s.(unix.Signal))
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
