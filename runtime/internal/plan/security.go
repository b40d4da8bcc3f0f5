//go:build linux

package plan

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilitySets are the five sets of capabilities(7), a bit a capability.
type capabilitySets struct {
	bounding, effective, inheritable, permitted, ambient uint64
}

// capabilityNames are indexed by number (linux/capability.h).
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

func capName(n int) string {
	if n < len(capabilityNames) {
		return "CAP_" + capabilityNames[n]
	}
	return "capability " + strconv.Itoa(n)
}

// capabilities reads process.capabilities. What the kernel does not know, or the creator does not hold, is left out: config.md asks for a warning
// at most. No capabilities property means none.
func (c *compiler) capabilities() capabilitySets {
	var s capabilitySets
	caps := c.Spec.Process.Capabilities
	if caps == nil {
		return s
	}
	for _, set := range []struct {
		name string
		list []string
		bits *uint64
	}{
		{"bounding", caps.Bounding, &s.bounding},
		{"effective", caps.Effective, &s.effective},
		{"inheritable", caps.Inheritable, &s.inheritable},
		{"permitted", caps.Permitted, &s.permitted},
		{"ambient", caps.Ambient, &s.ambient},
	} {
		for i, name := range set.list {
			n := slices.Index(capabilityNames[:], strings.TrimPrefix(name, "CAP_"))
			at := "/process/capabilities/" + set.name + "/" + strconv.Itoa(i)
			switch {
			case n < 0 || !strings.HasPrefix(name, "CAP_"):
				c.warn(at, "%q is not a capability", name)
			case n > c.Host.LastCap || c.Host.Held&(1<<n) == 0:
				c.warn(at, "%s cannot be given here", name)
			default:
				*set.bits |= 1 << n
			}
		}
	}
	s.effective &= s.permitted
	s.inheritable &= s.bounding | s.permitted
	s.ambient &= s.inheritable & s.permitted
	return s
}

// warn notes something that is left out.
func (c *compiler) warn(pointer, format string, args ...any) {
	w := pointer + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(c.plan.Warnings, w) {
		c.plan.Warnings = append(c.plan.Warnings, w)
	}
}

// capset sets effective, permitted and inheritable (capset(2), version 3).
func (c *compiler) capset(name string, s capabilitySets) {
	head := make([]byte, 8)
	binary.LittleEndian.PutUint32(head, unix.LINUX_CAPABILITY_VERSION_3)
	data := make([]byte, 24)
	for i := range 2 {
		for k, v := range []uint64{s.effective, s.permitted, s.inheritable} {
			binary.LittleEndian.PutUint32(data[i*12+k*4:], uint32(v>>(32*i)))
		}
	}
	c.add(name, "capset", unix.SYS_CAPSET, mem(head, "version 3"), mem(data, fmt.Sprintf("{eff=%#x prm=%#x inh=%#x}", s.effective, s.permitted, s.inheritable)))
}

// seccomp installs the filter.
func (c *compiler) seccomp() {
	c.pointer = "/linux/seccomp"
	n := len(c.Seccomp) / 8
	prog := mem(words(uint64(n), 0), "filter of "+strconv.Itoa(n)+" instructions", Reloc{8, mem(c.Seccomp, "")})
	c.add("install the seccomp filter", "seccomp", unix.SYS_SECCOMP, imm(unix.SECCOMP_SET_MODE_FILTER, "SET_MODE_FILTER"), imm(c.SeccompFlags, fmt.Sprintf("%#x", c.SeccompFlags)), prog)
}

// ambient raises the ambient capabilities, which the change of user has cleared.
func (c *compiler) ambient(s capabilitySets) {
	c.pointer = "/process/capabilities/ambient"
	for v := s.ambient; v != 0; v &= v - 1 {
		n := bits.TrailingZeros64(v)
		c.add("raise "+capName(n), "prctl", unix.SYS_PRCTL, imm(unix.PR_CAP_AMBIENT, "PR_CAP_AMBIENT"), imm(unix.PR_CAP_AMBIENT_RAISE, "RAISE"), imm(uint64(n), capName(n)), num(0), num(0))
	}
}
