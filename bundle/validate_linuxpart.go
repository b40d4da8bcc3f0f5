package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// linuxMore checks the younger parts of the section (config-linux.md).
func (r *report) linuxMore() {
	l := r.s.Linux
	if l == nil {
		return
	}
	for _, name := range sortedKeys(l.NetDevices) {
		pointer := "/linux/netDevices/" + spec.EscapeToken(name)
		r.interfaceName(pointer, name)
		if d := l.NetDevices[name]; d.Name != "" {
			r.interfaceName(pointer+"/name", d.Name)
		}
	}
	r.text("/linux/cgroupsPath", l.CgroupsPath)
	r.text("/linux/mountLabel", l.MountLabel)
	for _, key := range sortedKeys(l.Sysctl) {
		r.text("/linux/sysctl/"+spec.EscapeToken(key), key, l.Sysctl[key])
	}
	r.resourceRules(l.Resources)
	r.intelRdt(l.IntelRdt)
	r.memoryPolicy(l.MemoryPolicy)
	if p := l.Seccomp; p != nil {
		for i, f := range p.Flags {
			oneOf(r, at("/linux/seccomp/flags", i, ""), spec.RuntimeSeccompFlags, f, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow,
				specs.LinuxSeccompFlagWaitKillableRecv, "SECCOMP_FILTER_FLAG_TSYNC")
		}
		if p.ListenerMetadata != "" && p.ListenerPath == "" {
			r.add("/linux/seccomp/listenerMetadata", spec.RuntimeSeccompMetadata, "listenerPath as well", ErrInvalid, "set without listenerPath")
		}
	}
}

// interfaceName asks for what the kernel takes as the name of a network device (dev_valid_name).
func (r *report) interfaceName(pointer, name string) {
	if name == "" || name == "." || name == ".." || len(name) > 15 || strings.ContainsAny(name, "/: \t\n\v\f\r\x00") {
		r.add(pointer, spec.LinuxNetDevices, "1 to 15 bytes without '/', ':' and spaces", ErrInvalid, "%q is no name of a network device", name)
	}
}

func (r *report) intelRdt(t *specs.LinuxIntelRdt) {
	if t == nil {
		return
	}
	const base = "/linux/intelRdt"
	if id := t.ClosID; id != "" && id != "/" && (id == "." || id == ".." || strings.ContainsAny(id, "/\n\x00")) {
		r.add(base+"/closID", spec.LinuxRdt, "the name of a directory of resctrl, or /", ErrInvalid, "%q is no name of a directory", id)
	}
	if m := t.MemBwSchema; m != "" && (!strings.HasPrefix(m, "MB:") || strings.Contains(m, "\n")) {
		r.add(base+"/memBwSchema", spec.LinuxRdt, "one line such as MB:0=50", ErrInvalid, "%q", m)
	}
	for i, line := range t.Schemata {
		if strings.Contains(line, "\n") {
			r.add(at(base+"/schemata", i, ""), spec.LinuxRdt, "one line an element", ErrInvalid, "a newline in %q", line)
		}
	}
}

func (r *report) memoryPolicy(m *specs.LinuxMemoryPolicy) {
	if m == nil {
		return
	}
	const base = "/linux/memoryPolicy"
	oneOf(r, base+"/mode", spec.LinuxMemoryPolicy, m.Mode, specs.MpolDefault, specs.MpolBind, specs.MpolInterleave,
		specs.MpolWeightedInterleave, specs.MpolPreferred, specs.MpolPreferredMany, specs.MpolLocal)
	for i, f := range m.Flags {
		oneOf(r, at(base+"/flags", i, ""), spec.LinuxMemoryPolicy, f, specs.MpolFNumaBalancing, specs.MpolFRelativeNodes, specs.MpolFStaticNodes)
	}
	r.cpuList(base+"/nodes", spec.LinuxMemoryPolicy, m.Nodes)
	switch m.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if m.Nodes != "" {
			r.add(base+"/nodes", spec.LinuxMemoryPolicy, "none", ErrInvalid, "%s takes no nodes", m.Mode)
		}
	case specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave, specs.MpolPreferredMany:
		if m.Nodes == "" {
			r.add(base+"/nodes", spec.LinuxMemoryPolicy, "such as 0", ErrMissing, "%s needs a node", m.Mode)
		}
	}
}

// has reports whether the container gets a namespace of that type, new or another's.
func has(l *specs.Linux, t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(l.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

// linuxAdvice tells what of the section, or of what depends on it, has no effect.
func (r *report) linuxAdvice() {
	l := r.s.Linux
	if l == nil {
		return
	}
	for _, maps := range []struct {
		name string
		ids  []specs.LinuxIDMapping
	}{{"uidMappings", l.UIDMappings}, {"gidMappings", l.GIDMappings}} {
		if len(maps.ids) > 340 {
			r.add("/linux/"+maps.name, spec.LinuxMappingCount, "at most 340", ErrTooLarge, "%d mappings: Linux takes 340 (user_namespaces(7))", len(maps.ids))
		}
	}
	if len(l.TimeOffsets) > 0 && !has(l, specs.TimeNamespace) {
		r.add("/linux/timeOffsets", spec.LinuxTimeUse, "a namespace of type time", ErrInvalid, "offsets without a time namespace")
	}
	if p := l.Personality; p != nil && len(p.Flags) > 0 {
		r.add("/linux/personality/flags", spec.LinuxPersonalityFlags, "none", ErrInvalid, "no flag is supported")
	}
	r.deviceAdvice(l.Devices)
	r.memoryAdvice(l.Resources)
	r.sysctlAdvice(l)
	if t := l.IntelRdt; t != nil && t.L3CacheSchema != "" && (!strings.HasPrefix(t.L3CacheSchema, "L3:") || strings.Contains(t.L3CacheSchema, "\n")) {
		r.add("/linux/intelRdt/l3CacheSchema", spec.LinuxRdtL3, "one line such as L3:0=f", ErrInvalid, "%q", t.L3CacheSchema)
	}
	if l.MountLabel != "" && (r.s.Process == nil || r.s.Process.SelinuxLabel == "") {
		r.add("/linux/mountLabel", spec.LinuxMountLabel, "process.selinuxLabel as well", ErrInvalid, "a label for mounts, and none for the process")
	}
	r.notifyAdvice(l.Seccomp)
}

func (r *report) deviceAdvice(devices []specs.LinuxDevice) {
	type number struct {
		kind         string
		major, minor int64
	}
	seen := map[number]bool{}
	for i, d := range devices {
		n := number{strings.Replace(d.Type, "u", "c", 1), d.Major, d.Minor}
		if d.Type != "p" && seen[n] {
			r.add(at("/linux/devices", i, ""), spec.LinuxDeviceTwice, "each device once", ErrDuplicate, "%s %d:%d", d.Type, d.Major, d.Minor)
		}
		seen[n] = true
		if d.FileMode != nil && *d.FileMode > 0o777 {
			r.add(at("/linux/devices", i, "/fileMode"), spec.LinuxDeviceMode, "at most 511 (0777)", ErrInvalid, "%d has bits that are no permissions", *d.FileMode)
		}
	}
}

// sysctlAdvice tells which parameters would be those of the host: a runtime refuses them.
func (r *report) sysctlAdvice(l *specs.Linux) {
	for _, key := range sortedKeys(l.Sysctl) {
		name := strings.ReplaceAll(key, "/", ".")
		need := specs.LinuxNamespaceType("")
		switch {
		case strings.HasPrefix(name, "net."):
			need = specs.NetworkNamespace
		case strings.HasPrefix(name, "fs.mqueue."), name == "kernel.sem", strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"):
			need = specs.IPCNamespace
		case name == "kernel.domainname", name == "kernel.hostname":
			need = specs.UTSNamespace
		case strings.HasPrefix(name, "user."):
			need = specs.UserNamespace
		}
		switch pointer := "/linux/sysctl/" + spec.EscapeToken(key); {
		case need == "":
			r.add(pointer, spec.LinuxSysctl, "a parameter of a namespace: net.*, fs.mqueue.*, kernel.shm*, kernel.msg*, kernel.sem", ErrInvalid, "%q belongs to the whole machine", key)
		case !has(l, need):
			r.add(pointer, spec.LinuxSysctl, "a namespace of type "+string(need), ErrInvalid, "%q is the host's without a namespace of type %s", key, need)
		}
	}
}

func (r *report) notifyAdvice(p *specs.LinuxSeccomp) {
	if p == nil {
		return
	}
	notify := p.DefaultAction == specs.ActNotify || slices.ContainsFunc(p.Syscalls, func(c specs.LinuxSyscall) bool { return c.Action == specs.ActNotify })
	switch {
	case notify && p.ListenerPath == "":
		r.add("/linux/seccomp/listenerPath", spec.LinuxNotify, "the path of a socket", ErrMissing, "SCMP_ACT_NOTIFY without one who answers")
	case !notify && p.ListenerPath != "":
		r.add("/linux/seccomp/listenerPath", spec.LinuxListener, "leave it out", ErrInvalid, "no rule has SCMP_ACT_NOTIFY")
	}
}
