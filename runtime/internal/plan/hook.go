//go:build linux

package plan

import (
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// HookInput describes a hook that runs in the namespaces of a container.
type HookInput struct {
	Hook    specs.Hook
	Pointer string // "/hooks/createContainer/0"
	Pid     int    // the container's first process
	// Join are the CLONE_NEW* flags of the namespaces to join.
	Join   uint64
	Report int // descriptor to report to
}

// CompileHook returns the plan that executes a hook in a container's namespaces: with the hook's own environment and no other, and with
// descriptors 0, 1 and 2 alone.
func CompileHook(in HookInput) *Plan {
	fds := FDs{Report: in.Report, Sync: -1, Start: -1, Console: -1, Root: -1}
	c := &compiler{Input: Input{FDs: fds}, builder: newBuilder(fds)}
	c.pointer = in.Pointer
	pid := strconv.Itoa(in.Pid)
	var opened []Slot
	var flags []uint64
	for _, n := range Namespaces() {
		if in.Join&n.Flag == 0 {
			continue
		}
		s := c.newSlot("ns." + n.File)
		file := "/proc/" + pid + "/ns/" + n.File
		c.add("open "+file, "openat", unix.SYS_OPENAT, cwdFD(), text(file), imm(unix.O_RDONLY|unix.O_CLOEXEC, "O_RDONLY|O_CLOEXEC"), num(0)).into(s)
		opened, flags = append(opened, s), append(flags, n.Flag)
	}
	for i, s := range opened {
		c.add("join a namespace of the container", "setns", unix.SYS_SETNS, slot(s), imm(flags[i], cloneNames(flags[i])))
	}
	if in.Join&unix.CLONE_NEWPID != 0 {
		c.lateFork()
	}
	c.add("leave the creator's session", "setsid", unix.SYS_SETSID)
	c.add("enter the root", "chdir", unix.SYS_CHDIR, text("/"))
	c.add("keep no other descriptor over execve", "close_range", unix.SYS_CLOSE_RANGE, num(3), imm(1<<32-1, "max"), imm(unix.CLOSE_RANGE_CLOEXEC, "CLOEXEC"))
	args := in.Hook.Args
	if len(args) == 0 {
		args = []string{in.Hook.Path}
	}
	c.add(fmt.Sprintf("execute the hook %q", in.Hook.Path), "execve", unix.SYS_EXECVE, text(in.Hook.Path), vector(args, "args"), vector(in.Hook.Env, "env"))
	return &c.plan
}

// Namespace is a kind of namespace: its file below /proc/PID/ns and its CLONE_NEW* flag.
type Namespace struct {
	File string
	Flag uint64
}

// Namespaces lists the kinds that a process can join, in the order in which to join them: the user namespace first, as it gives the right to
// the others, the mount namespace last, as it changes what paths mean.
func Namespaces() []Namespace {
	return []Namespace{
		{"user", unix.CLONE_NEWUSER},
		{"cgroup", unix.CLONE_NEWCGROUP},
		{"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS},
		{"net", unix.CLONE_NEWNET},
		{"pid", unix.CLONE_NEWPID},
		{"mnt", unix.CLONE_NEWNS},
	}
}
