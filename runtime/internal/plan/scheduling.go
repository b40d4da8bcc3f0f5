//go:build linux

package plan

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// scheduling sets what the process's turn on the processor and the disk is decided by.
func (c *compiler) scheduling() error {
	p := c.Spec.Process
	if p.ExecCPUAffinity != nil {
		return unsupported("/process/execCPUAffinity", "an affinity for exec")
	}
	for _, u := range []struct {
		pointer string
		set     bool
	}{
		{"/linux/intelRdt", c.linux.IntelRdt != nil},
		{"/linux/memoryPolicy", c.linux.MemoryPolicy != nil},
		{"/linux/netDevices", len(c.linux.NetDevices) > 0},
		{"/linux/mountLabel", c.linux.MountLabel != ""},
	} {
		if u.set {
			return unsupported(u.pointer, "this property")
		}
	}
	if pers := c.linux.Personality; pers != nil {
		if err := c.personality(pers); err != nil {
			return err
		}
	}
	if io := p.IOPriority; io != nil {
		c.pointer = "/process/ioPriority"
		class := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[io.Class]
		if class == 0 || io.Priority < 0 || io.Priority > 7 {
			return invalid(c.pointer, "class %q, priority %d", io.Class, io.Priority)
		}
		const whoProcess = 1
		c.add("set the I/O priority", "ioprio_set", unix.SYS_IOPRIO_SET, num(whoProcess), num(0), num(class<<13|io.Priority))
	}
	return c.scheduler()
}

// personality is config-linux.md, Personality.
func (c *compiler) personality(p *specs.LinuxPersonality) error {
	c.pointer = "/linux/personality"
	domain := uint64(0)
	switch p.Domain {
	case specs.PerLinux:
	case specs.PerLinux32:
		domain = 8
	default:
		return invalid(c.pointer+"/domain", "%q is none of LINUX, LINUX32", p.Domain)
	}
	if len(p.Flags) > 0 {
		return unsupported(c.pointer+"/flags", "a flag; the specification defines none")
	}
	c.add("set the personality "+string(p.Domain), "personality", unix.SYS_PERSONALITY, imm(domain, string(p.Domain)))
	return nil
}

// scheduler is config.md, Linux Process, scheduler: sched_setattr(2).
func (c *compiler) scheduler() error {
	s := c.Spec.Process.Scheduler
	if s == nil {
		return nil
	}
	c.pointer = "/process/scheduler"
	policies := [...]specs.LinuxSchedulerPolicy{specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline}
	policy := -1
	for i, p := range policies {
		if p == s.Policy {
			policy = i
		}
	}
	if policy < 0 {
		return invalid(c.pointer+"/policy", "%q is not a policy", s.Policy)
	}
	var flags uint64
	for i, f := range s.Flags {
		names := [...]specs.LinuxSchedulerFlag{
			specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams,
			specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
		}
		known := false
		for bit, n := range names {
			if n == f {
				flags |= 1 << bit
				known = true
			}
		}
		if !known {
			return invalid(c.pointer+"/flags/"+strconv.Itoa(i), "%q is not a flag", f)
		}
	}
	attr := make([]byte, 56)
	binary.LittleEndian.PutUint32(attr, uint32(len(attr)))
	binary.LittleEndian.PutUint32(attr[4:], uint32(policy))
	binary.LittleEndian.PutUint64(attr[8:], flags)
	binary.LittleEndian.PutUint32(attr[16:], uint32(s.Nice))
	binary.LittleEndian.PutUint32(attr[20:], uint32(s.Priority))
	binary.LittleEndian.PutUint64(attr[24:], s.Runtime)
	binary.LittleEndian.PutUint64(attr[32:], s.Deadline)
	binary.LittleEndian.PutUint64(attr[40:], s.Period)
	c.add("set the scheduler "+string(s.Policy), "sched_setattr", unix.SYS_SCHED_SETATTR, num(0), mem(attr, strings.TrimSpace(fmt.Sprintf("{%s nice=%d prio=%d}", s.Policy, s.Nice, s.Priority))), num(0))
	return nil
}
