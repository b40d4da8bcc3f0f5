package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const childVariable = "OCI_TEST_SECCOMP_PROFILE"

// TestMain turns this binary into the process that installs a filter, when a test starts it so.
func TestMain(m *testing.M) {
	if profile := os.Getenv(childVariable); profile != "" {
		child(profile)
	}
	os.Exit(m.Run())
}

// child installs a profile, makes some calls and prints their errors, one a line.
func child(profile string) {
	var s specs.LinuxSeccomp
	die := func(err error) {
		if err != nil {
			_, _ = os.Stdout.WriteString("child: " + err.Error() + "\n")
			os.Exit(3)
		}
	}
	die(json.Unmarshal([]byte(profile), &s))
	p, err := Compile(&s, Native())
	die(err)
	goruntime.LockOSThread()
	die(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	code := p.Bytes()
	prog := unix.SockFprog{Len: uint16(len(p.Instructions)), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(p.Flags), uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		die(errno)
	}
	if p.NeedsListener != (fd != 0) {
		die(errors.New("a listener came unasked, or not at all"))
	}
	try := func(nr, a, b, c uintptr) {
		_, _, errno := unix.RawSyscall(nr, a, b, c)
		result := "ok"
		if errno != 0 {
			result = unix.ErrnoName(errno)
		}
		_, _ = os.Stdout.WriteString(result + "\n")
	}
	var name unix.Utsname
	try(unix.SYS_UNAME, uintptr(unsafe.Pointer(&name)), 0, 0)
	try(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	try(unix.SYS_PERSONALITY, 0x7, 0, 0)
	try(unix.SYS_UNSHARE, 0, 0, 0)
	try(unix.SYS_SOCKET, unix.AF_INET+100, 0, 0)
	try(599, 0, 0, 0)
	try(unix.SYS_GETPPID, 0, 0, 0)
	os.Exit(0)
}

func runChild(t *testing.T, s *specs.LinuxSeccomp) (lines string, state *os.ProcessState) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+string(profile))
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), " "), cmd.ProcessState
}

func TestKernelRunsDockerProfile(t *testing.T) {
	if Native() == "" {
		t.Skip("no table of system calls for " + goruntime.GOARCH)
	}
	s := dockerProfile(t)
	got, state := runChild(t, s)
	// uname and the personality query are permitted, another personality and unshare are not, a
	// socket of an unknown family is denied by an argument, 599 is newer than the profile.
	if want := "ok ok EPERM EPERM EPERM ENOSYS ok"; got != want || !state.Success() {
		t.Errorf("got %q (%s), want %q", got, state, want)
	}
}

func TestKernelKillsAndNotifies(t *testing.T) {
	if Native() == "" {
		t.Skip("no table of system calls for " + goruntime.GOARCH)
	}
	kill := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"getppid"}, Action: specs.ActKillProcess},
		{Names: []string{"unshare"}, Action: specs.ActErrno, ErrnoRet: errno(uint(unix.EXDEV))},
	}}
	got, state := runChild(t, kill)
	status := state.Sys().(syscall.WaitStatus)
	if !strings.Contains(got, "EXDEV") || !status.Signaled() || status.Signal() != unix.SIGSYS {
		t.Errorf("got %q, %s", got, state)
	}
	notify := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"getpgrp", "acct"}, Action: specs.ActNotify},
	}}
	if got, state := runChild(t, notify); !state.Success() {
		t.Errorf("notify: got %q, %s", got, state)
	}
}
