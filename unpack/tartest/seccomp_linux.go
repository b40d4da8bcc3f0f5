package tartest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Refusal makes a system call fail as it does where the kernel, or a file system, cannot do it.
type Refusal struct {
	Call  uintptr // its number
	Errno unix.Errno
	Arg   int    // with Mask: the argument, from 0
	Mask  uint32 // if not zero, only calls that have all these bits in the low half of Arg
}

// OldKernel are refusals that make this kernel one of Linux 4.18 to what unpacks: what is newer is not
// there. clone3, pidfd_open and close_range are Go's own business and have fallbacks there.
func OldKernel() []Refusal {
	var list []Refusal
	for _, nr := range []uintptr{
		unix.SYS_OPENAT2, unix.SYS_FCHMODAT2, unix.SYS_FACCESSAT2, unix.SYS_CLOSE_RANGE, unix.SYS_COPY_FILE_RANGE, unix.SYS_STATX,
		unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
		unix.SYS_IO_URING_SETUP, unix.SYS_CLONE3, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	} {
		list = append(list, Refusal{Call: nr, Errno: unix.ENOSYS})
	}
	return list
}

// NoTmpfile refuses nameless files, as many file systems do: EOPNOTSUPP of open(2), "O_TMPFILE".
func NoTmpfile() Refusal {
	const tmpfile = unix.O_TMPFILE &^ unix.O_DIRECTORY
	return Refusal{Call: unix.SYS_OPENAT, Errno: unix.EOPNOTSUPP, Arg: 2, Mask: tmpfile}
}

// RunWithout runs cmd, for which, with all that it starts, the system calls are refused, by a seccomp
// filter (seccomp(2)). The filter is that of one thread of this process, from which cmd is forked and
// which then ends. It must be for this machine's architecture: a program of another one is killed.
func RunWithout(cmd *exec.Cmd, refusals ...Refusal) error {
	filter, err := assemble(refusals)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		if err := install(filter); err != nil {
			result <- fmt.Errorf("install a filter: %w", err)
			return
		}
		result <- cmd.Run()
	}()
	return <-result
}

// Offsets in struct seccomp_data of linux/seccomp.h, on a machine whose low bytes come first.
const (
	dataNR   = 0
	dataArch = 4
	dataArgs = 16
)

// assemble makes the filter: a chain of tests, each with its answer.
func assemble(refusals []Refusal) ([]unix.SockFilter, error) {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, errors.ErrUnsupported
	}
	const load, jumpEqual, and, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	f := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: jumpEqual, K: arch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
	}
	for _, r := range refusals {
		answer := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(r.Errno)}
		f = append(f, unix.SockFilter{Code: load, K: dataNR})
		if r.Mask == 0 {
			f = append(f, unix.SockFilter{Code: jumpEqual, K: uint32(r.Call), Jf: 1}, answer)
			continue
		}
		f = append(
			f, unix.SockFilter{Code: jumpEqual, K: uint32(r.Call), Jf: 4},
			unix.SockFilter{Code: load, K: uint32(dataArgs + 8*r.Arg)}, unix.SockFilter{Code: and, K: r.Mask},
			unix.SockFilter{Code: jumpEqual, K: r.Mask, Jf: 1}, answer,
		)
	}
	return append(f, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}), nil
}
