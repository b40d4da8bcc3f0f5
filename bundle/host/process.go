package host

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// capabilities tells which the process will not have: config.md has runtimes warn of them and go on.
func (j *judge) capabilities() {
	p := j.s.Process
	if p == nil || p.Capabilities == nil {
		return
	}
	c, known := p.Capabilities, bundle.Capabilities()
	told := map[string]bool{}
	for _, set := range []struct {
		name string
		list []string
	}{{"bounding", c.Bounding}, {"effective", c.Effective}, {"inheritable", c.Inheritable}, {"permitted", c.Permitted}, {"ambient", c.Ambient}} {
		for i, name := range set.list {
			n := slices.Index(known, name)
			if n < 0 || told[name] {
				continue
			}
			told[name] = true
			pointer := "/process/capabilities/" + set.name + "/" + strconv.Itoa(i)
			switch {
			case n > j.LastCap:
				j.change(pointer, "leave it out of all sets", ErrKernel, "%s", name)
			case j.Bounding&(1<<n) == 0 && !j.fresh(specs.UserNamespace): // a new user namespace has them all
				j.change(pointer, "leave it out of all sets, or make the container from a process that has it", ErrPrivilege, "%s is not in the caller's bounding set", name)
			}
		}
	}
}

// rlimits judges by setrlimit(2): raising a hard limit takes CAP_SYS_RESOURCE in the machine's first user namespace.
func (j *judge) rlimits() {
	p := j.s.Process
	if p == nil {
		return
	}
	for i, l := range p.Rlimits {
		pointer := "/process/rlimits/" + strconv.Itoa(i) + "/hard"
		have, ok := j.Limits[l.Type]
		switch {
		case l.Type == "RLIMIT_NOFILE" && j.NrOpen > 0 && l.Hard > j.NrOpen:
			j.refuse(pointer, "at most "+strconv.FormatUint(j.NrOpen, 10)+", or raise fs.nr_open", ErrRange, "%d open files", l.Hard)
		case !ok || l.Hard <= have || j.has(capSysResource):
		case j.holds(capSysResource) && !j.InUserNamespace:
			j.change(pointer, "at most "+strconv.FormatUint(have, 10), ErrPrivilege, "raising %s above %d from within a user namespace (runtimes that set it before are not refused)", l.Type, have)
		default:
			j.refuse(pointer, "at most "+strconv.FormatUint(have, 10), ErrPrivilege, "raising %s above %d", l.Type, have)
		}
	}
}

func (j *judge) oomScore() {
	p := j.s.Process
	if p == nil || p.OOMScoreAdj == nil || *p.OOMScoreAdj >= j.OOMScoreAdj || j.has(capSysResource) {
		return
	}
	const pointer = "/process/oomScoreAdj"
	hint := "at least " + strconv.Itoa(j.OOMScoreAdj)
	if j.mapped() {
		j.change(pointer, hint, ErrPrivilege, "a score below the caller's own, %d", j.OOMScoreAdj)
	} else {
		j.refuse(pointer, hint, ErrPrivilege, "a score below the caller's own, %d", j.OOMScoreAdj)
	}
}

// scheduler judges by sched(7) and sched_setattr(2).
func (j *judge) scheduler() {
	p := j.s.Process
	if p == nil || p.Scheduler == nil {
		return
	}
	const base = "/process/scheduler"
	c := p.Scheduler
	realtime := c.Policy == specs.SchedFIFO || c.Policy == specs.SchedRR
	switch {
	case c.Policy == specs.SchedISO:
		j.refuse(base+"/policy", string(specs.SchedOther), ErrKernel, "the policy SCHED_ISO, which no Linux has")
	case (realtime && j.Limits["RLIMIT_RTPRIO"] == 0 || c.Policy == specs.SchedDeadline) && !j.has(capSysNice):
		j.refuse(base+"/policy", "run as root without a user namespace, or use SCHED_OTHER", ErrPrivilege, "the policy %s", c.Policy)
	case realtime && (c.Priority < 1 || c.Priority > 99):
		j.refuse(base+"/priority", "1 to 99", ErrRange, "priority %d", c.Priority)
	case realtime && j.Control.Controllers["cpu"] == 1 && j.Control.Known["cpu.rt_runtime_us"] && !j.realtimeGroup():
		j.refuse(base+"/policy", "linux.resources.cpu.realtimeRuntime as well", ErrOff, "%s in a control group of v1 that has no real time of its own", c.Policy)
	case c.Policy == specs.SchedDeadline && (c.Runtime < 1024 || c.Deadline < c.Runtime):
		j.refuse(base+"/runtime", "at least 1024 (ns), and at most deadline", ErrRange, "runtime %d, deadline %d", c.Runtime, c.Deadline)
	}
	if int(c.Nice) < j.Nice && !j.has(capSysNice) && uint64(20-c.Nice) > j.Limits["RLIMIT_NICE"] {
		j.refuse(base+"/nice", "at least "+strconv.Itoa(j.Nice), ErrPrivilege, "a nice value below the caller's own, %d", j.Nice)
	}
	for i, f := range c.Flags {
		if strings.HasPrefix(string(f), "SCHED_FLAG_UTIL_CLAMP") && j.UclampMissing {
			j.refuse(base+"/flags/"+strconv.Itoa(i), "leave it out", ErrKernel, "%s (CONFIG_UCLAMP_TASK)", f)
		}
	}
}

// realtimeGroup tells whether the container's group gets real time.
func (j *judge) realtimeGroup() bool {
	r := j.linux.Resources
	return r != nil && r.CPU != nil && r.CPU.RealtimeRuntime != nil && *r.CPU.RealtimeRuntime > 0
}

// ioPriority judges by ioprio_set(2).
func (j *judge) ioPriority() {
	p := j.s.Process
	if p == nil || p.IOPriority == nil || p.IOPriority.Class != specs.IOPRIO_CLASS_RT || j.has(capSysAdmin) || j.has(capSysNice) {
		return
	}
	j.refuse("/process/ioPriority/class", string(specs.IOPRIO_CLASS_BE), ErrPrivilege, "the class %s", p.IOPriority.Class)
}

func (j *judge) affinity() {
	if j.s.Process == nil || j.s.Process.ExecCPUAffinity == nil {
		return
	}
	a := j.s.Process.ExecCPUAffinity
	for _, l := range [][2]string{{"initial", a.Initial}, {"final", a.Final}} {
		pointer := "/process/execCPUAffinity/" + l[0]
		switch some, all := numbered(l[1], j.CPUs); {
		case !some:
			j.change(pointer, "processors of "+ranges(j.CPUs), ErrAbsent, "each exec would fail: processors %s", l[1])
		case !all:
			j.change(pointer, "processors of "+ranges(j.CPUs), ErrAbsent, "some of processors %s", l[1])
		}
	}
}

// labels judges what the security modules are asked for.
func (j *judge) labels() {
	if p := j.s.Process; p != nil {
		const profile, label = "/process/apparmorProfile", "/process/selinuxLabel"
		switch name := p.ApparmorProfile; {
		case name == "":
		case !j.AppArmor && name == "unconfined":
			j.change(profile, "leave it out", ErrOff, "AppArmor (some runtimes refuse any profile then)")
		case !j.AppArmor:
			j.refuse(profile, "leave it out", ErrOff, "AppArmor, for profile %q", name)
		case j.Profiles != nil && name != "unconfined" && !j.Profiles[name]:
			j.refuse(profile, "load it with apparmor_parser, or name one of /sys/kernel/security/apparmor/profiles", ErrAbsent, "the AppArmor profile %q", name)
		}
		switch {
		case p.SelinuxLabel == "":
		case !j.SELinux:
			j.change(label, "leave it out", ErrOff, "SELinux, for label %q (some runtimes refuse it then)", p.SelinuxLabel)
		case j.LabelsRefused[p.SelinuxLabel]:
			j.refuse(label, "a label of the policy that is loaded", ErrAbsent, "the SELinux label %q", p.SelinuxLabel)
		}
	}
	switch label := j.linux.MountLabel; {
	case label == "":
	case !j.SELinux:
		j.change("/linux/mountLabel", "leave it out", ErrOff, "SELinux, for label %q (some runtimes refuse it then)", label)
	case j.LabelsRefused[label]:
		j.refuse("/linux/mountLabel", "a label of the policy that is loaded", ErrAbsent, "the SELinux label %q", label)
	}
}

// terminal judges whether a terminal can be made: it is one of the container's own devpts.
func (j *judge) terminal() {
	p := j.s.Process
	if p == nil || !p.Terminal {
		return
	}
	const pointer = "/process/terminal"
	if _, ok := j.Filesystems["devpts"]; j.Filesystems != nil && !ok {
		j.refuse(pointer, "false", ErrKernel, "devpts, for a terminal")
	}
	for _, m := range j.s.Mounts {
		if below("/dev/pts", path.Clean("/"+m.Destination)) && (m.Type == "devpts" || isBind(m)) {
			return
		}
	}
	if f, known := j.Inside["/dev/pts/ptmx"]; known && f.Kind == Absent {
		j.refuse(pointer, "a mount of type devpts at /dev/pts, or false", ErrAbsent, "a devpts in the container, for a terminal")
	}
}

// personality judges LINUX32 by whether such programs run at all; the kernel of arm64 refuses it otherwise.
func (j *judge) personality() {
	p := j.linux.Personality
	if p == nil || p.Domain != specs.PerLinux32 || j.Compat32 || j.Arch == "" {
		return
	}
	if j.Arch == "arm64" {
		j.refuse("/linux/personality/domain", string(specs.PerLinux), ErrKernel, "programs for 32-bit machines, so LINUX32")
	} else {
		j.change("/linux/personality/domain", string(specs.PerLinux), ErrKernel, "programs for 32-bit machines: LINUX32 changes but what uname says")
	}
}
