package host

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// seccomp judges a profile by what seccomp(2) says of actions and flags.
func (j *judge) seccomp() {
	p := j.linux.Seccomp
	if p == nil {
		return
	}
	const base = "/linux/seccomp"
	if j.SeccompMissing {
		j.refuse(base, "leave it out", ErrKernel, "seccomp filters")
		return
	}
	j.action(base+"/defaultAction", p.DefaultAction)
	notify := p.DefaultAction == specs.ActNotify
	for i, c := range p.Syscalls {
		pointer := base + "/syscalls/" + strconv.Itoa(i)
		j.action(pointer+"/action", c.Action)
		notify = notify || c.Action == specs.ActNotify
		for k, name := range c.Names {
			if j.UnknownCalls[name] {
				j.change(pointer+"/names/"+strconv.Itoa(k), "the name of a call, as in syscalls(2)", ErrNoEffect, "a rule for %q, which is the name of no system call", name)
			}
		}
	}
	for i, f := range p.Flags {
		if j.FlagsRefused[f] {
			j.refuse(base+"/flags/"+strconv.Itoa(i), "leave it out", ErrKernel, "the flag %s", f)
		}
	}
	for i, a := range p.Architectures {
		if j.Arch != "" && !ownArch(j.Arch, a) {
			j.change(base+"/architectures/"+strconv.Itoa(i), "leave it out", ErrNoEffect, "rules for %s, whose programs do not run on %s", a, j.Arch)
		}
	}
	if f := j.Files[p.ListenerPath]; notify && p.ListenerPath != "" && f.Kind != "" {
		const hint = "the path of a socket on which an agent listens"
		if j.there(base+"/listenerPath", p.ListenerPath, hint) && f.Kind != Socket {
			j.refuse(base+"/listenerPath", hint, ErrKind, "%s is a %s", p.ListenerPath, f.Kind)
		}
	}
}

// action judges one action; "kill" was kill_thread before it had siblings.
func (j *judge) action(pointer string, a specs.LinuxSeccompAction) {
	name := map[specs.LinuxSeccompAction]string{
		specs.ActKill: "kill_thread", specs.ActKillThread: "kill_thread", specs.ActKillProcess: "kill_process", specs.ActTrap: "trap",
		specs.ActErrno: "errno", specs.ActTrace: "trace", specs.ActAllow: "allow", specs.ActLog: "log", specs.ActNotify: "user_notif",
	}[a]
	if name != "" && j.Actions != nil && !j.Actions[name] {
		j.refuse(pointer, "one of the actions in /proc/sys/kernel/seccomp/actions_avail, such as SCMP_ACT_ERRNO", ErrKernel, "the action %s", a)
	}
}

// ownArch tells whether programs of an architecture run on a machine, as far as seccomp sees it. What is not known does.
func ownArch(arch string, a specs.Arch) bool {
	own := map[string][]specs.Arch{
		"amd64": {specs.ArchX86_64, specs.ArchX86, specs.ArchX32}, "386": {specs.ArchX86}, "arm64": {specs.ArchAARCH64, specs.ArchARM},
		"arm": {specs.ArchARM}, "riscv64": {specs.ArchRISCV64}, "s390x": {specs.ArchS390X, specs.ArchS390}, "ppc64le": {specs.ArchPPC64LE},
		"loong64": {specs.ArchLOONGARCH64},
	}[arch]
	return own == nil || slices.Contains(own, a)
}

// sysctls judges parameters: that they are there, and belong to a namespace that is the container's.
func (j *judge) sysctls() {
	for _, key := range slices.Sorted(maps.Keys(j.linux.Sysctl)) {
		pointer := "/linux/sysctl/" + spec.EscapeToken(key)
		name := sysctlPath(key)
		there, known := j.Sysctls[key]
		need := owner(name)
		n, has := j.namespace(need)
		switch {
		case name == "kernel/hostname":
			j.refuse(pointer, "hostname", ErrNamespaced, "kernel.hostname, which has a property of its own")
		case need == "":
			j.refuse(pointer, "set it on the host", ErrNamespaced, "%q, a parameter of the whole machine", key)
		case !has:
			j.refuse(pointer, "a namespace of type "+string(need), ErrNamespaced, "%q, which is the host's without a namespace of type %s", key, need)
		case n.Path != "" && j.Files[n.Path].Own:
			j.refuse(pointer, "a namespace of type "+string(need)+" without path", ErrNamespaced, "%q, as the namespace %s is the host's", key, n.Path)
		case hostOnly(name) && n.Path == "":
			j.refuse(pointer, "set it on the host", ErrNamespaced, "%q, which only the first network namespace has", key)
		case known && !there && !ofDevice(name):
			j.refuse(pointer, "a parameter that sysctl -a shows", ErrKernel, "the parameter %q", key)
		}
	}
}

// sysctlPath is the path of a parameter below /proc/sys: the first separator decides which one it is (sysctl(8)).
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i < 0 || key[i] == '/' {
		return key
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(key)
}

// owner is the type of namespace that a parameter belongs to, "" for none.
func owner(name string) specs.LinuxNamespaceType {
	switch {
	case strings.HasPrefix(name, "net/"):
		return specs.NetworkNamespace
	case strings.HasPrefix(name, "user/"):
		return specs.UserNamespace
	case strings.HasPrefix(name, "fs/mqueue/"), name == "kernel/sem", strings.HasPrefix(name, "kernel/msg"), strings.HasPrefix(name, "kernel/shm"):
		return specs.IPCNamespace
	case name == "kernel/domainname", name == "kernel/hostname":
		return specs.UTSNamespace
	}
	return ""
}

// hostOnly are parameters below net that a new network namespace does not have, on any kernel (net/core/sysctl_net_core.c).
func hostOnly(name string) bool {
	core, ok := strings.CutPrefix(name, "net/core/")
	return ok && slices.Contains([]string{
		"bpf_jit_enable", "bpf_jit_harden", "bpf_jit_kallsyms", "bpf_jit_limit", "busy_poll", "busy_read", "default_qdisc", "dev_weight",
		"dev_weight_rx_bias", "dev_weight_tx_bias", "flow_limit_cpu_bitmap", "flow_limit_table_len", "message_burst", "message_cost",
		"netdev_budget", "netdev_budget_usecs", "netdev_max_backlog", "rps_sock_flow_entries",
	}, core)
}

// ofDevice tells whether a parameter belongs to one network device, which the container may have and the host not.
func ofDevice(name string) bool {
	part := strings.Split(name, "/")
	return len(part) == 5 && part[0] == "net" && (part[2] == "conf" || part[2] == "neigh") && part[3] != "all" && part[3] != "default" && part[3] != "lo"
}

// devices judges nodes: in a user namespace none can be made, and runtimes show the host's.
func (j *judge) devices() {
	for i, d := range j.linux.Devices {
		pointer := "/linux/devices/" + strconv.Itoa(i)
		f := j.Files[d.Path]
		bound := j.mapped() && !j.provided(d.Path)
		number := [2]uint32{uint32(d.Major), uint32(d.Minor)}
		switch {
		case bound && d.Type == "p" && f.Kind == Absent, bound && f.Kind == Absent:
			j.refuse(pointer, "a device that the host has at that path, or no user namespace", ErrAbsent, "in a user namespace the host's node is shown, and there is no %s", d.Path)
		case bound && (f.Kind == Char || f.Kind == Block) && d.Type != "p" && f.Device != number:
			j.change(pointer, "the numbers of the host's, "+strconv.Itoa(int(f.Device[0]))+":"+strconv.Itoa(int(f.Device[1])), ErrKind, "in a user namespace the host's %s is shown, which is another device", d.Path)
		case !j.mapped() && !j.holds(capMknod) && d.Type != "p":
			j.refuse(pointer, "none, or a bind mount of the host's node", ErrPrivilege, "making device nodes")
		case d.Type != "p" && j.Majors != nil && !j.Majors[strings.Replace(d.Type, "u", "c", 1)][d.Major]:
			j.change(pointer, "leave it out, or load its driver", ErrAbsent, "a driver for %s with the number %d: the node is made, and opening it fails", d.Path, d.Major)
		}
	}
}

// provided tells whether a device comes with the container's own terminals or from a mount over /dev.
func (j *judge) provided(p string) bool { return p == "/dev/ptmx" || p == "/dev/console" || j.devBound }

// netDevices judges devices that are to be moved into the container.
func (j *judge) netDevices() {
	for _, name := range slices.Sorted(maps.Keys(j.linux.NetDevices)) {
		pointer := "/linux/netDevices/" + spec.EscapeToken(name)
		_, has := j.namespace(specs.NetworkNamespace)
		switch there, known := j.Interfaces[name]; {
		case known && !there:
			j.refuse(pointer, "a device that `ip link` shows", ErrAbsent, "the network device %q", name)
		case name == "lo":
			j.refuse(pointer, "leave it out", ErrKernel, "moving lo to another network namespace")
		case !has:
			j.refuse(pointer, "a namespace of type network", ErrNamespaced, "the network device %q stays where it is", name)
		case !j.holds(capNetAdmin) || j.InUserNamespace:
			j.refuse(pointer, "run as root", ErrPrivilege, "moving the network device %q", name)
		}
	}
}

// memoryPolicy judges by set_mempolicy(2).
func (j *judge) memoryPolicy() {
	m := j.linux.MemoryPolicy
	if m == nil {
		return
	}
	const base = "/linux/memoryPolicy"
	switch {
	case j.NUMAMissing:
		j.refuse(base, "leave it out", ErrKernel, "memory policies (CONFIG_NUMA)")
		return
	case m.Mode == specs.MpolWeightedInterleave && j.before(6, 9):
		j.refuse(base+"/mode", string(specs.MpolInterleave), ErrKernel, "%s, of Linux 6.9", m.Mode)
	case m.Mode == specs.MpolPreferredMany && j.before(5, 15):
		j.refuse(base+"/mode", string(specs.MpolPreferred), ErrKernel, "%s, of Linux 5.15", m.Mode)
	}
	for i, f := range m.Flags {
		if f == specs.MpolFNumaBalancing && j.before(5, 12) {
			j.refuse(base+"/flags/"+strconv.Itoa(i), "leave it out", ErrKernel, "%s, of Linux 5.12", f)
		}
	}
	switch some, all := numbered(m.Nodes, j.Nodes); {
	case !some:
		j.refuse(base+"/nodes", "of "+ranges(j.Nodes), ErrAbsent, "memory nodes %s", m.Nodes)
	case !all:
		j.change(base+"/nodes", "of "+ranges(j.Nodes), ErrAbsent, "some of memory nodes %s", m.Nodes)
	}
}

// intelRdt judges by the file system resctrl.
func (j *judge) intelRdt() {
	t := j.linux.IntelRdt
	if t == nil {
		return
	}
	const base = "/linux/intelRdt"
	switch {
	case !j.Resctrl.Kernel:
		j.refuse(base, "leave it out", ErrKernel, "resctrl: a processor and a kernel with Intel RDT")
		return
	case !j.Resctrl.Mounted:
		j.refuse(base, "mount -t resctrl resctrl /sys/fs/resctrl", ErrOff, "resctrl is not mounted, so Intel RDT is")
		return
	}
	for _, w := range []struct {
		name, info string
		set        bool
	}{
		{"l3CacheSchema", "L3", t.L3CacheSchema != ""},
		{"memBwSchema", "MB", t.MemBwSchema != ""},
		{"enableMonitoring", "L3_MON", t.EnableMonitoring},
	} {
		if w.set && !j.Resctrl.Info[w.info] {
			j.refuse(base+"/"+w.name, "leave it out", ErrKernel, "the resource %s of resctrl", w.info)
		}
	}
	for i, line := range t.Schemata {
		name, _, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name != "" && !j.Resctrl.Info[name] {
			j.refuse(base+"/schemata/"+strconv.Itoa(i), "a resource of /sys/fs/resctrl/info", ErrKernel, "the resource %s of resctrl", name)
		}
	}
}
