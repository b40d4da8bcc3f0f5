//go:build linux

package plan

import (
	"fmt"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// ready lets go of every descriptor of the set-up, reports, and waits for the start.
func (c *compiler) ready() error {
	c.pointer = ""
	last := max(c.FDs.Report, c.FDs.Sync, c.FDs.Start)
	c.add("close what the set-up opened", "close_range", unix.SYS_CLOSE_RANGE, num(last+1), imm(math.MaxUint32, "max"), num(0)).
		why("a waiting container holds nothing of the host (CVE-2024-21626)")
	c.point(PointReady, "wait until its state is recorded")
	c.plan.Steps[len(c.plan.Steps)-1].Why = "a creator that dies before that takes the container with it: its end of the pipe closes"
	c.add("wait for the start", "read", unix.SYS_READ, fdArg(c.FDs.Start, "fd.start"), addr(c.newBuffer("byte", 8)), num(1)).notZero()
	c.plan.Late = len(c.plan.Steps)
	if h := c.Spec.Hooks; h != nil && len(h.StartContainer) > 0 {
		c.pointer = "/hooks/startContainer"
		c.point(PointStart, "wait for the startContainer hooks")
	}
	return nil
}

// final replaces the process by the container's program.
func (c *compiler) final() error {
	p := c.Spec.Process
	caps := c.capabilities()
	c.pointer = ""
	c.add("keep no other descriptor over execve", "close_range", unix.SYS_CLOSE_RANGE, num(3+c.FDs.Preserve), imm(math.MaxUint32, "max"),
		imm(unix.CLOSE_RANGE_CLOEXEC, "CLOEXEC"))
	if c.Seccomp != nil {
		c.seccomp()
		if !p.NoNewPrivileges {
			c.pointer = "/process/capabilities"
			c.capset("drop what installing the filter needed", caps)
		}
	}
	c.ambient(caps)
	for i, e := range p.Env {
		if strings.ContainsRune(e, 0) {
			return &Error{Pointer: fmt.Sprintf("/process/env/%d", i), Clause: spec.ProcessEnv, Err: fmt.Errorf("%w: a NUL byte", ErrInvalid)}
		}
	}
	c.pointer = "/process/args/0"
	c.add("execute the program "+fmt.Sprintf("%q", p.Args[0]), "execve", unix.SYS_EXECVE, slot(c.program), vector(p.Args, "args"), vector(p.Env, "env"))
	return nil
}

// vector is a NULL-terminated array of strings.
func vector(list []string, show string) Arg {
	relocs := make([]Reloc, len(list))
	for i, s := range list {
		relocs[i] = Reloc{i * 8, text(s)}
	}
	return mem(make([]byte, 8*(len(list)+1)), show, relocs...)
}
