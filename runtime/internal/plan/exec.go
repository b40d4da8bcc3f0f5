//go:build linux

package plan

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ExecInput describes a further process of a container.
type ExecInput struct {
	Process *specs.Process
	Host    Host
	FDs     FDs // Report, Sync, Start and Root are required; Root is a pidfd of the container's first process
	// Join are the CLONE_NEW* flags of the namespaces that differ from the creator's.
	Join         uint64
	Seccomp      []byte
	SeccompFlags uint64
	OwnStdio     []int
}

// CompileExec returns the plan of a process that joins a container. It goes through the same points
// as a container's first process: PointReady, then the start.
func CompileExec(in ExecInput) (*Plan, error) {
	c := &compiler{
		Input: Input{
			Spec: &specs.Spec{Process: in.Process}, Host: in.Host, FDs: in.FDs, NewKeyring: true,
			Seccomp: in.Seccomp, SeccompFlags: in.SeccompFlags, OwnStdio: in.OwnStdio,
		},
		builder: newBuilder(in.FDs),
		linux:   &specs.Linux{},
		haveNS:  in.Join,
	}
	if in.Process == nil {
		return nil, invalid("/process", "there is none")
	}
	c.enterContainer(in.Join)
	c.umask(0)
	for _, stage := range []func() error{c.execTerminal, c.execFiles, c.identity, c.lookup, c.ready, c.final} {
		if err := stage(); err != nil {
			return nil, err
		}
	}
	return &c.plan, nil
}

// enterContainer joins all namespaces at once, by the pidfd: a process that has taken the id of one that ended is not joined.
func (c *compiler) enterContainer(join uint64) {
	if join&unix.CLONE_NEWUSER == 0 {
		c.add("let nobody trace this process", "prctl", unix.SYS_PRCTL, imm(unix.PR_SET_DUMPABLE, "PR_SET_DUMPABLE"), num(0), num(0), num(0), num(0)).
			why("CVE-2016-9962: until execve it is the creator's, and already in the container")
	}
	if join != 0 {
		c.add("join the namespaces of the container", "setns", unix.SYS_SETNS, fdArg(c.FDs.Root, "fd.pid"), imm(join, cloneNames(join)))
	}
	if join&unix.CLONE_NEWUSER != 0 {
		c.becomeRoot()
	}
	if join&(unix.CLONE_NEWPID|unix.CLONE_NEWTIME) != 0 {
		c.lateFork()
	}
}

// execTerminal opens a terminal from the container's devpts, as its first process does, but leaves /dev/console alone.
func (c *compiler) execTerminal() error {
	if !c.Spec.Process.Terminal {
		return nil
	}
	c.pointer = "/process/terminal"
	c.dev = c.newSlot("dev")
	c.add("open /dev", "openat2", unix.SYS_OPENAT2, cwdFD(), text("/dev"),
		openHow(unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_SYMLINKS), num(openHowSize)).into(c.dev)
	slave, err := c.terminal()
	if err != nil {
		return err
	}
	c.takeTerminal(slave)
	return nil
}

// execFiles writes to the container's procfs. It is the one mounted at /proc, which is opened without following links, and each file must lie on it.
func (c *compiler) execFiles() error {
	p := c.Spec.Process
	if p.OOMScoreAdj == nil && p.ApparmorProfile == "" && p.SelinuxLabel == "" {
		return nil
	}
	c.pointer = "/process"
	c.proc = c.newSlot("proc")
	c.add("open /proc", "openat2", unix.SYS_OPENAT2, cwdFD(), text("/proc"),
		openHow(unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_SYMLINKS), num(openHowSize)).into(c.proc)
	c.setOOMScore()
	return c.labels()
}
