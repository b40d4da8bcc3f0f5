package blackbox_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPty opens a pseudo-terminal of the given size.
func openPty(t *testing.T, rows, cols uint16) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { master.Close() })
	check(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	check(t, err)
	setSize(t, master, rows, cols)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(t, err)
	return master, slave
}

func setSize(t *testing.T, master *os.File, rows, cols uint16) {
	t.Helper()
	check(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}))
}

// onTerminal starts the binary as the foreground job of a terminal. The output is what the terminal shows.
func (s *sandbox) onTerminal(t *testing.T, master, slave *os.File, args ...string) *running {
	t.Helper()
	cmd := s.cmd(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	r := start(t, cmd)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if n > 0 {
				_, _ = r.Write(b[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

// -t gives the program a real terminal of the caller's size, which follows it, and the caller's own
// terminal is afterwards as it was.
func TestTerminal(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	master, slave := openPty(t, 40, 100)
	defer slave.Close()
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check(t, err)

	id := token()
	r := s.onTerminal(t, master, slave, "run", "--rm", "-i", "-t", "--name", id, ref, "sh")
	say := func(line, want string) {
		t.Helper()
		_, err := master.WriteString(line + "\n")
		check(t, err)
		r.waitFor(t, want)
	}
	say("test -t 0 && test -t 1 && test -t 2 && echo tty-$((1+1))", "tty-2")
	say("echo size-$(stty size)", "size-40 100")
	say("echo name-$(tty)", "name-/dev/")
	setSize(t, master, 50, 120)
	say("for i in $(seq 100); do stty size | grep -q '50 120' && break; sleep 0.05; done; echo now-$(stty size)", "now-50 120")
	say("ls -l /dev/console | cut -c1; echo job-$(ps -o pid,comm | grep -c sh)", "job-")
	say("trap 'echo caught-$((2+3))' INT", "trap")
	_, err = master.WriteString("\x03")
	check(t, err)
	r.waitFor(t, "caught-5")
	_, err = master.WriteString("exit 9\n")
	check(t, err)
	if got := r.status(t); got != 9 {
		t.Errorf("status %d, want 9\n%s", got, r.text())
	}
	if strings.Contains(r.text(), "no job control") || strings.Contains(r.text(), "can't access tty") {
		t.Errorf("the shell has no job control:\n%s", r.text())
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check(t, err)
	if *before != *after {
		t.Errorf("the terminal's settings were not restored:\n%+v\n%+v", before, after)
	}
	leftovers(t, s, id)
}

// -t without a terminal on the standard streams still gives the program one.
func TestTerminal_without_one(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	if r := s.run("run", "--rm", "-t", upstream.image(t, "busybox"), "sh", "-c", "test -t 1 && echo terminal"); r.status != 0 || r.stdout != "terminal\r\n" {
		t.Error(r)
	}
}
