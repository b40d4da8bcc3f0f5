package bundle

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// scheduling checks how the process is to be run (config.md#linux-process).
func (r *report) scheduling() {
	p := r.s.Process
	if p == nil {
		return
	}
	if n := p.OOMScoreAdj; n != nil && (*n < -1000 || *n > 1000) {
		r.add("/process/oomScoreAdj", spec.ProcessLinux, "-1000 to 1000", ErrInvalid, "%d is out of range", *n)
	}
	if a := p.ExecCPUAffinity; a != nil {
		r.cpuList("/process/execCPUAffinity/initial", spec.ProcessLinux, a.Initial)
		r.cpuList("/process/execCPUAffinity/final", spec.ProcessLinux, a.Final)
	}
	r.text("/process/apparmorProfile", p.ApparmorProfile)
	r.text("/process/selinuxLabel", p.SelinuxLabel)
	c := p.Scheduler
	if c == nil {
		return
	}
	oneOf(r, "/process/scheduler/policy", spec.ProcessLinux, c.Policy, specs.SchedOther, specs.SchedFIFO, specs.SchedRR,
		specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline)
	for i, f := range c.Flags {
		oneOf(r, at("/process/scheduler/flags", i, ""), spec.ProcessLinux, f, specs.SchedFlagResetOnFork, specs.SchedFlagReclaim,
			specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax)
	}
	if c.Nice < -20 || c.Nice > 19 {
		r.add("/process/scheduler/nice", spec.ProcessLinux, "-20 to 19", ErrInvalid, "%d is out of range", c.Nice)
	}
	if d := c.Policy == specs.SchedDeadline; d && (c.Runtime > c.Deadline && c.Deadline > 0 || c.Deadline > c.Period && c.Period > 0) {
		r.add("/process/scheduler/deadline", spec.ProcessLinux, "runtime <= deadline <= period (sched(7))", ErrInvalid, "runtime %d, deadline %d, period %d", c.Runtime, c.Deadline, c.Period)
	}
}

// cpuList asks for a list as cpuset(7) writes it: "0-3,7". The empty one is right.
func (r *report) cpuList(pointer string, c spec.Clause, list string) {
	if list == "" {
		return
	}
	for _, part := range strings.Split(strings.TrimSuffix(list, "\n"), ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.ParseUint(first, 10, 31)
		b := a
		if err == nil && ranged {
			b, err = strconv.ParseUint(last, 10, 31)
		}
		if err != nil || b < a {
			r.add(pointer, c, "a list such as 0-3,7", ErrInvalid, "%q is no list of numbers", list)
			return
		}
	}
}

// processAdvice tells what of process has no effect.
func (r *report) processAdvice() {
	p := r.s.Process
	if p == nil {
		return
	}
	if p.ConsoleSize != nil && !p.Terminal {
		r.add("/process/consoleSize", spec.ProcessConsole, "terminal true, or no consoleSize", ErrInvalid, "ignored without a terminal")
	}
	seen := map[string]bool{}
	for i, e := range p.Env {
		name, _, _ := strings.Cut(e, "=")
		if seen[name] {
			r.add(at("/process/env", i, ""), spec.ProcessEnvOnce, "each name once", ErrDuplicate, "%q is set before", name)
		}
		seen[name] = true
	}
	r.schedulerAdvice(p.Scheduler)
	r.capabilityAdvice(p.Capabilities)
	r.otherProcess(p)
}

func (r *report) schedulerAdvice(c *specs.Scheduler) {
	if c == nil {
		return
	}
	for _, f := range []struct {
		name     string
		set      bool
		policies []specs.LinuxSchedulerPolicy
	}{
		{"nice", c.Nice != 0, []specs.LinuxSchedulerPolicy{specs.SchedOther, specs.SchedBatch}},
		{"priority", c.Priority != 0, []specs.LinuxSchedulerPolicy{specs.SchedFIFO, specs.SchedRR}},
		{"runtime", c.Runtime != 0, []specs.LinuxSchedulerPolicy{specs.SchedDeadline}},
		{"deadline", c.Deadline != 0, []specs.LinuxSchedulerPolicy{specs.SchedDeadline}},
		{"period", c.Period != 0, []specs.LinuxSchedulerPolicy{specs.SchedDeadline}},
	} {
		if f.set && !slices.Contains(f.policies, c.Policy) {
			r.add("/process/scheduler/"+f.name, spec.ProcessUnused, "with policy "+string(f.policies[0])+" only", ErrInvalid, "%s makes no use of it", c.Policy)
		}
	}
}

// capabilityAdvice tells which capabilities the kernel would not grant (capabilities(7)).
func (r *report) capabilityAdvice(c *specs.LinuxCapabilities) {
	if c == nil {
		return
	}
	for _, set := range []struct {
		name        string
		caps, of    []string
		requirement string
	}{
		{"effective", c.Effective, c.Permitted, "permitted"},
		{"permitted", c.Permitted, c.Bounding, "bounding"},
		{"ambient", c.Ambient, c.Permitted, "permitted"},
		{"ambient", c.Ambient, c.Inheritable, "inheritable"},
	} {
		in := make(map[string]bool, len(set.of))
		for _, name := range set.of {
			in[name] = true
		}
		for i, name := range set.caps {
			if !in[name] {
				r.add(at("/process/capabilities/"+set.name, i, ""), spec.CapabilitySets, name+" in "+set.requirement+" too", ErrInvalid, "%s is not in %s", name, set.requirement)
			}
		}
	}
}

// otherProcess notes the properties that the platform ignores.
func (r *report) otherProcess(p *specs.Process) {
	windows := r.platform == Windows
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"commandLine", p.CommandLine != "" && !windows},
		{"user/username", p.User.Username != "" && !windows},
		{"user/umask", p.User.Umask != nil && windows},
		{"user/additionalGids", len(p.User.AdditionalGids) > 0 && windows},
		{"rlimits", len(p.Rlimits) > 0 && r.platform != Linux && r.platform != Solaris && r.platform != VM && r.platform != ZOS},
		{"capabilities", p.Capabilities != nil && r.platform != Linux && r.platform != VM},
		{"apparmorProfile", p.ApparmorProfile != "" && r.platform != Linux && r.platform != VM},
		{"selinuxLabel", p.SelinuxLabel != "" && r.platform != Linux && r.platform != VM},
		{"oomScoreAdj", p.OOMScoreAdj != nil && r.platform != Linux && r.platform != VM},
		{"noNewPrivileges", p.NoNewPrivileges && r.platform != Linux && r.platform != VM && r.platform != ZOS},
		{"scheduler", p.Scheduler != nil && r.platform != Linux && r.platform != VM},
		{"ioPriority", p.IOPriority != nil && r.platform != Linux && r.platform != VM},
		{"execCPUAffinity", p.ExecCPUAffinity != nil && r.platform != Linux && r.platform != VM},
	} {
		if f.set {
			r.add("/process/"+f.name, spec.ProcessOther, "leave it out", ErrInvalid, "not of platform %s, and ignored", r.platform)
		}
	}
}
