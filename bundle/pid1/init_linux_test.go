package pid1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be a program that tells of its signals.
func TestMain(m *testing.M) {
	if os.Getenv("OCI_TEST_SIGNALS") != "" {
		tellSignals()
	}
	os.Exit(m.Run())
}

func tellSignals() {
	c := make(chan os.Signal, 100)
	signal.Notify(c)
	fmt.Println("ready")
	for s := range c {
		number, _ := s.(syscall.Signal)
		if number == syscall.SIGURG { // the runtime of Go sends it to itself
			continue
		}
		fmt.Println(int(number))
		if number == syscall.SIGTERM {
			os.Exit(9)
		}
	}
}

// machines are the command lines that run the init here: of this machine, and of the other by an emulator.
func machines(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		file := filepath.Join(t.TempDir(), "init")
		raw, err := ELF(arch)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, raw, 0o755); err != nil {
			t.Fatal(err)
		}
		emulator, err := exec.LookPath(map[string]string{"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}[arch])
		switch {
		case arch == runtime.GOARCH:
			all[arch] = []string{file, "--"}
		case err == nil:
			all[arch] = []string{emulator, file, "--"}
		default:
			t.Logf("%s: no emulator (Debian: qemu-user)", arch)
		}
	}
	return all
}

// each runs a test on each machine.
func each(t *testing.T, test func(t *testing.T, init []string)) {
	t.Helper()
	for arch, line := range machines(t) {
		t.Run(arch, func(t *testing.T) { test(t, line) })
	}
}

func command(t *testing.T, init []string, args ...string) *exec.Cmd {
	t.Helper()
	all := append(append([]string{}, init...), args...)
	return exec.CommandContext(t.Context(), all[0], all[1:]...)
}

func TestSize(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		raw, err := ELF(arch)
		if err != nil || len(raw) >= 2048 {
			t.Errorf("%s: %d bytes, %v", arch, len(raw), err)
		}
	}
	if _, err := ELF("riscv64"); !errors.Is(err, ErrMachine) {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	each(t, func(t *testing.T, init []string) {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "plain"), nil, 0o644), os.WriteFile(filepath.Join(dir, "prog"), []byte("#!/bin/sh\necho prog $0\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("/x", 4000)
		for _, tt := range []struct {
			name   string
			args   []string
			env    []string
			status int
			out    string
		}{
			{"its status", []string{"sh", "-c", `echo "$0" "$1"; exit 42`, "a", "b c"}, nil, 42, "a b c\n"},
			{"a signal", []string{"sh", "-c", "kill -9 $$"}, nil, 137, ""},
			{"a signal with a core", []string{"sh", "-c", "ulimit -c 0; kill -QUIT $$"}, nil, 131, ""},
			{"nothing there", []string{"no-such-program"}, nil, 127, "oci-init: no-such-program: not found\n"},
			{"nothing there, by a path", []string{"/no/such"}, nil, 127, "oci-init: /no/such: not found\n"},
			{"below a file", []string{"/etc/passwd/x"}, nil, 127, "oci-init: /etc/passwd/x: not found\n"},
			{"no program", []string{"/etc/passwd"}, nil, 126, "oci-init: /etc/passwd: cannot be executed\n"},
			{"no program in PATH", []string{"plain"}, []string{"PATH=/nowhere:" + dir}, 126, "oci-init: plain: cannot be executed\n"},
			{"an empty name", []string{""}, nil, 127, "oci-init: : not found\n"},
			{"a long name", []string{strings.Repeat("n", 300)}, nil, 127, "oci-init: " + strings.Repeat("n", 300) + ": not found\n"},
			{"no name", nil, nil, 125, "oci-init: no program\n"},
			{"a name with --", []string{"--"}, nil, 127, "oci-init: --: not found\n"},
			{"PATH", []string{"prog"}, []string{"X=1", "PATHS=/", "PATH=/nowhere:" + long + ":/etc/passwd:" + dir}, 0, "prog " + dir + "/prog\n"},
			{"PATH ends in nothing", []string{"prog"}, []string{"PATH=/nowhere:"}, 0, "prog prog\n"},
			{"no PATH", []string{"sh", "-c", "echo $#"}, []string{}, 0, "0\n"},
			{"PATH is empty", []string{"prog"}, []string{"PATH="}, 0, "prog prog\n"},
		} {
			cmd := command(t, init, tt.args...)
			cmd.Dir = dir
			if tt.env != nil {
				cmd.Env = tt.env
			}
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tt.status || string(out) != tt.out {
				t.Errorf("%s: got %d, %q, want %d, %q", tt.name, got, out, tt.status, tt.out)
			}
		}
	})
}

// TestEverySignalArrives sends each to the init, and asks the program.
func TestEverySignalArrives(t *testing.T) {
	each(t, func(t *testing.T, init []string) {
		cmd := command(t, init, os.Args[0])
		cmd.Env = append(os.Environ(), "OCI_TEST_SIGNALS=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan() // ready
		for s := 1; s <= 64; s++ {
			switch syscall.Signal(s) {
			case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGPROF, syscall.SIGTERM, 32, 33, 34:
				continue // of the kernel, of the init, of Go, of the C library; the last comes at the end
			case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS:
				if len(init) > 2 {
					continue // an emulator ends by them
				}
			}
			if len(init) > 2 && s > 31 {
				continue // an emulator has them for itself
			}
			if err := cmd.Process.Signal(syscall.Signal(s)); err != nil {
				t.Fatal(err)
			}
			if lines.Scan(); lines.Text() != strconv.Itoa(s) {
				t.Fatalf("signal %d: got %q, %v", s, lines.Text(), lines.Err())
			}
		}
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTTOU), cmd.Process.Signal(syscall.SIGCHLD), cmd.Process.Signal(syscall.SIGTERM)); err != nil {
			t.Fatal(err)
		}
		if lines.Scan(); lines.Text() != "15" {
			t.Errorf("got %q", lines.Text())
		}
		cmd.Wait()
		if cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("got %v", cmd.ProcessState)
		}
	})
}

// orphans makes one, which ends when its parent has gone, and tells when the init has no child but this one any more. The
// init takes the orphan only if it is the reaper, and its zombie stays if it does not wait.
const orphans = `
	mkfifo gone
	sh -c '{ read line <gone; exit 3; } & echo $! >orphan'
	o=$(cat orphan)
	grep -q "^PPid:.$PPID$" /proc/$o/status && echo adopted
	echo >gone
	n=0
	while [ -d /proc/$o ] && [ $n -lt 500 ]; do n=$((n+1)); sleep 0.01; done
	[ -d /proc/$o ] || echo reaped
	exit 5`

func TestOrphansAreReaped(t *testing.T) {
	each(t, func(t *testing.T, init []string) {
		ways := map[string][]string{"below others": nil, "SIGCHLD was ignored": {"sh", "-c", `trap '' CHLD; exec "$@"`, "sh"}, "as process 1": {"unshare", "-pf", "--mount-proc"}}
		if len(init) > 2 {
			delete(ways, "below others") // the emulator does not know PR_SET_CHILD_SUBREAPER
			ways["SIGCHLD was ignored"] = []string{"unshare", "-pf", "--mount-proc", "sh", "-c", `trap '' CHLD; exec "$@"`, "sh"}
		}
		for name, before := range ways {
			if len(before) > 0 && before[0] == "unshare" && os.Getuid() != 0 {
				t.Logf("%s: needs root", name)
				continue
			}
			cmd := command(t, append(before, init...), "sh", "-c", orphans)
			cmd.Dir = t.TempDir()
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != 5 || string(out) != "adopted\nreaped\n" {
				t.Errorf("%s: got %d, %q", name, got, out)
			}
		}
	})
}

// TestNothingIsKept: neither descriptors nor the working directory by the init, and the program has the blocked signals that there were.
func TestNothingIsKept(t *testing.T) {
	init, ok := machines(t)[runtime.GOARCH]
	if !ok {
		t.Skip("an emulator has descriptors and signals of its own")
	}
	cmd := command(t, append([]string{"env", "--block-signal=USR1"}, init...), "grep", "SigBlk", "/proc/self/status") // a shell would take them all
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "SigBlk:\t0000000000000200\n" {
		t.Errorf("got %q, %v", out, err)
	}
	cmd = command(t, init, "sh", "-c",
		`ls -l /proc/$PPID/cwd | sed 's/.*-> //'; echo $(ls /proc/$PPID/fd); [ -e /proc/self/fd/5 ] && pwd`)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{r, w, w}
	cmd.Dir = "/usr"
	out, err := cmd.CombinedOutput()
	if want := "/\n0 1 2\n/usr\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// TestProcess1 runs the init where it is process 1, to which the kernel sends nothing that it does not wait for.
func TestProcess1(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a pid namespace needs root")
	}
	init, ok := machines(t)[runtime.GOARCH]
	if !ok {
		t.Skip("no init for this machine")
	}
	cmd := command(t, init, "sh", "-c", `trap 'exit 6' TERM; echo $$ $PPID $LISTEN_PID $LISTEN_PID_; kill -TERM 1; while :; do sleep 0.01; done`)
	cmd.Env = append(os.Environ(), "LISTEN_PID_=1", "LISTEN_PID=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != 6 || string(out) != "2 1 2 1\n" {
		t.Errorf("got %d, %q", got, out)
	}
	// What is left when the program ends is the kernel's to end: the init does not wait for it.
	cmd = command(t, init, "sh", "-c", "sleep 1000 & exit 4")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != 4 {
		t.Errorf("got %d", got)
	}
}

// TestTerminal: the program is in the foreground, whatever its standard input is, and Ctrl-C reaches it once.
func TestTerminal(t *testing.T) {
	each(t, func(t *testing.T, init []string) {
		for name, redirect := range map[string]string{"on a terminal": "", "with other input": "exec </dev/null; "} {
			master, slave := terminal(t)
			line := append([]string{"sh", "-c", redirect + `exec "$@"`, "sh"}, init...)
			cmd := command(t, line, "sh", "-c", `
				trap 'echo interrupted; exit 8' INT
				set -- $(cat /proc/$$/stat)
				[ $5 = $1 ] && [ $8 = $1 ] && echo foreground
				while :; do sleep 0.01; done`)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			slave.Close()
			lines := bufio.NewScanner(master)
			lines.Scan()
			if got := strings.TrimSpace(lines.Text()); got != "foreground" {
				t.Errorf("%s: got %q", name, got)
			}
			if _, err := master.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			var rest bytes.Buffer
			for lines.Scan() {
				rest.WriteString(strings.TrimSpace(lines.Text()))
			}
			cmd.Wait()
			if got := strings.TrimPrefix(rest.String(), "^C"); got != "interrupted" || cmd.ProcessState.ExitCode() != 8 {
				t.Errorf("%s: got %q, %v", name, got, cmd.ProcessState)
			}
			master.Close()
		}
	})
}

func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
