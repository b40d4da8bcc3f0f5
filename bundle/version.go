package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// baseVersion is claimed by a config that uses nothing newer: every runtime in use accepts it.
const baseVersion = "1.0.2"

// MinVersion is the lowest version of runtime-spec that has every property which s uses, at least
// 1.0.2. Claiming more makes a runtime refuse what it could run: crun 1.8 does so with 1.3.0.
// (From the change log of runtime-spec.)
func MinVersion(s *specs.Spec) string {
	switch {
	case needs130(s):
		return "1.3.0"
	case s.Process != nil && s.Process.ExecCPUAffinity != nil:
		return "1.2.1"
	case needs120(s):
		return "1.2.0"
	case needs110(s):
		return "1.1.0"
	}
	return baseVersion
}

func needs130(s *specs.Spec) bool {
	if s.FreeBSD != nil || s.VM != nil && s.VM.HwConfig != nil {
		return true
	}
	l := s.Linux
	return l != nil && (l.MemoryPolicy != nil || len(l.NetDevices) > 0 ||
		l.IntelRdt != nil && (len(l.IntelRdt.Schemata) > 0 || l.IntelRdt.EnableMonitoring))
}

func needs120(s *specs.Spec) bool {
	return slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool {
		return s.Linux != nil && !strings.HasPrefix(m.Destination, "/") ||
			slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
	})
}

func needs110(s *specs.Spec) bool {
	if s.Domainname != "" || s.ZOS != nil {
		return true
	}
	if p := s.Process; p != nil && (p.Scheduler != nil || p.IOPriority != nil) {
		return true
	}
	if slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return len(m.UIDMappings)+len(m.GIDMappings) > 0 }) {
		return true
	}
	l := s.Linux
	if l == nil {
		return false
	}
	isTime := func(n specs.LinuxNamespace) bool { return n.Type == specs.TimeNamespace }
	return len(l.TimeOffsets) > 0 || slices.ContainsFunc(l.Namespaces, isTime) ||
		resourcesNeed110(l.Resources) || seccompNeeds110(l.Seccomp)
}

func resourcesNeed110(r *specs.LinuxResources) bool {
	return r != nil && (len(r.Unified) > 0 || r.CPU != nil && (r.CPU.Idle != nil || r.CPU.Burst != nil) ||
		r.Memory != nil && r.Memory.CheckBeforeUpdate != nil)
}

func seccompNeeds110(p *specs.LinuxSeccomp) bool {
	if p == nil {
		return false
	}
	return p.DefaultErrnoRet != nil || p.ListenerPath != "" || newAction(p.DefaultAction) ||
		slices.Contains(p.Flags, specs.LinuxSeccompFlagWaitKillableRecv) ||
		slices.Contains(p.Architectures, specs.ArchRISCV64) ||
		slices.ContainsFunc(p.Syscalls, func(c specs.LinuxSyscall) bool { return c.ErrnoRet != nil || newAction(c.Action) })
}

func newAction(a specs.LinuxSeccompAction) bool {
	return a == specs.ActKillProcess || a == specs.ActKillThread || a == specs.ActNotify
}

// checkVersion accepts what SemVer 2.0.0 calls a version, of major version 1. Minor versions newer
// than ours are no error: properties unknown to us are to be ignored (config.md "Extensibility").
func checkVersion(v string) error {
	if v == "" {
		return fmt.Errorf("ociVersion: %w", ErrMissing)
	}
	core, _, _ := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	ok := len(parts) == 3 && (!hasPre || pre != "")
	for _, p := range parts {
		_, err := strconv.ParseUint(p, 10, 32)
		ok = ok && err == nil && (p == "0" || p[0] != '0')
	}
	if !ok {
		return fmt.Errorf("%w: %q is not of the form MAJOR.MINOR.PATCH", ErrVersion, v)
	}
	if parts[0] != "1" {
		return fmt.Errorf("%w: %q, want 1.x", ErrVersion, v)
	}
	return nil
}
