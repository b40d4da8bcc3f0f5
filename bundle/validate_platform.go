package bundle

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// linux checks the section of that name (config-linux.md).
func (r *report) linux() {
	l := r.s.Linux
	if l == nil {
		return
	}
	r.namespaces(l)
	r.devices(l.Devices)
	r.resources(l.Resources)
	r.seccomp(l.Seccomp)
	switch strings.TrimPrefix(l.RootfsPropagation, "r") {
	case "", "shared", "slave", "private", "unbindable":
	default:
		r.add("/linux/rootfsPropagation", spec.BundlePropagation, "shared, slave, private or unbindable", ErrInvalid, "unknown propagation %q", l.RootfsPropagation)
	}
	for i, p := range l.MaskedPaths {
		r.absolute(at("/linux/maskedPaths", i, ""), spec.BundlePaths, p)
	}
	for i, p := range l.ReadonlyPaths {
		r.absolute(at("/linux/readonlyPaths", i, ""), spec.LinuxReadonly, p)
	}
	if p := l.Personality; p != nil && p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32 {
		r.add("/linux/personality/domain", spec.BundlePersonality, "LINUX or LINUX32", ErrInvalid, "unknown domain %q", p.Domain)
	}
}

func (r *report) namespaces(l *specs.Linux) {
	seen := map[specs.LinuxNamespaceType]bool{}
	for i, n := range l.Namespaces {
		pointer := at("/linux/namespaces", i, "")
		switch n.Type {
		case specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace,
			specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace:
		default:
			r.add(pointer+"/type", spec.BundleNamespaces, "a type of namespaces(7)", ErrInvalid, "unknown namespace %q", n.Type)
		}
		if seen[n.Type] {
			r.add(pointer+"/type", spec.BundleNamespaces, "each type once", ErrDuplicate, "namespace %q", n.Type)
		}
		seen[n.Type] = true
		if n.Path != "" {
			r.absolute(pointer+"/path", spec.BundleNamespaces, n.Path)
		}
	}
	r.mappings("/linux/uidMappings", l.UIDMappings, seen[specs.UserNamespace])
	r.mappings("/linux/gidMappings", l.GIDMappings, seen[specs.UserNamespace])
	for _, clock := range sortedKeys(l.TimeOffsets) {
		if n := l.TimeOffsets[clock].Nanosecs; n >= 1e9 { // time_namespaces(7): EINVAL
			r.add("/linux/timeOffsets/"+spec.EscapeToken(clock)+"/nanosecs", spec.BundleTimeOffsets, "at most 999999999, the rest as secs", ErrInvalid, "%d is more than a second", n)
		}
		if clock != "monotonic" && clock != "boottime" {
			r.add("/linux/timeOffsets/"+spec.EscapeToken(clock), spec.BundleTimeOffsets, "monotonic or boottime", ErrInvalid, "unknown clock %q", clock)
		}
	}
}

func (r *report) mappings(pointer string, maps []specs.LinuxIDMapping, inUserNamespace bool) {
	if len(maps) > 0 && !inUserNamespace {
		r.add(pointer, spec.BundleIDMappingsUse, "a namespace of type user", ErrInvalid, "mappings without a user namespace")
	}
	r.ranges(pointer, maps)
}

// ranges asks for ids that exist, none of them mapped twice: the kernel refuses the latter.
func (r *report) ranges(pointer string, maps []specs.LinuxIDMapping) {
	for i, m := range maps {
		const last = 1<<32 - 1
		if m.Size == 0 || uint64(m.ContainerID)+uint64(m.Size) > last || uint64(m.HostID)+uint64(m.Size) > last {
			r.add(at(pointer, i, ""), spec.BundleIDMappings, "ids from 0 to 4294967294", ErrInvalid, "container id %d, host id %d, size %d", m.ContainerID, m.HostID, m.Size)
		}
	}
	r.overlaps(pointer, maps, "container", func(m specs.LinuxIDMapping) uint32 { return m.ContainerID })
	r.overlaps(pointer, maps, "host", func(m specs.LinuxIDMapping) uint32 { return m.HostID })
}

// overlaps refuses an id that two ranges have.
func (r *report) overlaps(pointer string, maps []specs.LinuxIDMapping, side string, first func(specs.LinuxIDMapping) uint32) {
	order := make([]int, len(maps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(first(maps[a]), first(maps[b])) })
	for n := 1; n < len(order); n++ {
		a, b := maps[order[n-1]], maps[order[n]]
		if uint64(first(a))+uint64(a.Size) > uint64(first(b)) && b.Size > 0 {
			r.add(at(pointer, max(order[n-1], order[n]), ""), spec.BundleIDMappings, "each id once", ErrDuplicate, "%s id %d is in two ranges", side, first(b))
		}
	}
}

func (r *report) devices(devices []specs.LinuxDevice) {
	for i, d := range devices {
		pointer := at("/linux/devices", i, "")
		r.absolute(pointer+"/path", spec.BundleDevices, d.Path)
		if !slices.Contains([]string{"c", "b", "u", "p"}, d.Type) {
			r.add(pointer+"/type", spec.BundleDevices, "c, b, u or p", ErrInvalid, "unknown type %q", d.Type)
		}
		if d.Major < 0 || d.Minor < 0 {
			r.add(pointer, spec.BundleDevices, "numbers from 0", ErrInvalid, "device %d:%d", d.Major, d.Minor)
		}
	}
}

func (r *report) resources(res *specs.LinuxResources) {
	if res == nil {
		return
	}
	for i, d := range res.Devices {
		pointer := at("/linux/resources/devices", i, "")
		if !slices.Contains([]string{"", "a", "c", "b"}, d.Type) {
			r.add(pointer+"/type", spec.BundleDeviceRules, "a, c or b", ErrInvalid, "unknown type %q", d.Type)
		}
		if strings.Trim(d.Access, "rwm") != "" {
			r.add(pointer+"/access", spec.BundleDeviceRules, "letters of rwm", ErrInvalid, "unknown access %q", d.Access)
		}
	}
	if m := res.Memory; m != nil {
		for _, limit := range []struct {
			name  string
			value *int64
		}{{"limit", m.Limit}, {"reservation", m.Reservation}, {"swap", m.Swap}} {
			if limit.value != nil && *limit.value < -1 {
				r.add("/linux/resources/memory/"+limit.name, spec.BundleResources, "bytes, or -1 for no limit", ErrInvalid, "%d", *limit.value)
			}
		}
	}
	// A weight of 0 says "unset": Docker writes it into every config.
	if b := res.BlockIO; b != nil && b.Weight != nil && *b.Weight != 0 && (*b.Weight < 10 || *b.Weight > 1000) {
		r.add("/linux/resources/blockIO/weight", spec.BundleBlockIO, "10 to 1000", ErrInvalid, "%d is out of range", *b.Weight)
	}
	for i, h := range res.HugepageLimits {
		if !pageSize(h.Pagesize) {
			r.add(at("/linux/resources/hugepageLimits", i, "/pageSize"), spec.LinuxHugePages, "such as 2MB", ErrInvalid, "%q is no page size", h.Pagesize)
		}
	}
	for _, key := range sortedKeys(res.Unified) {
		// The key becomes a file name in the container's cgroup.
		if key == "" || strings.ContainsAny(key, "/\x00") || key == ".." || key == "." {
			r.add("/linux/resources/unified/"+spec.EscapeToken(key), spec.BundleResources, "the name of a file of cgroup v2", ErrInvalid, "%q is no file name", key)
		}
	}
}

func (r *report) seccomp(p *specs.LinuxSeccomp) {
	if p == nil {
		return
	}
	const base = "/linux/seccomp"
	r.action(base+"/defaultAction", p.DefaultAction, p.DefaultErrnoRet != nil)
	for i, a := range p.Architectures {
		if !slices.Contains(architectures(), a) {
			r.add(at(base+"/architectures", i, ""), spec.BundleSeccomp, "such as SCMP_ARCH_X86_64", ErrInvalid, "unknown architecture %q", a)
		}
	}
	for i, c := range p.Syscalls {
		pointer := at(base+"/syscalls", i, "")
		if len(c.Names) == 0 {
			r.add(pointer+"/names", spec.BundleSeccomp, "at least one name", ErrMissing, "")
		}
		r.action(pointer+"/action", c.Action, c.ErrnoRet != nil)
		for j, a := range c.Args {
			if a.Index > 5 {
				r.add(at(pointer+"/args", j, "/index"), spec.BundleSeccomp, "0 to 5", ErrInvalid, "a system call has no argument %d", a.Index)
			}
			switch a.Op {
			case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
			default:
				r.add(at(pointer+"/args", j, "/op"), spec.BundleSeccomp, "such as SCMP_CMP_EQ", ErrInvalid, "unknown operator %q", a.Op)
			}
		}
	}
}

func (r *report) action(pointer string, a specs.LinuxSeccompAction, withErrno bool) {
	switch a {
	case specs.ActErrno, specs.ActTrace:
		return
	case specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActAllow, specs.ActLog, specs.ActNotify:
	case "":
		r.add(pointer, spec.BundleSeccomp, "such as SCMP_ACT_ERRNO", ErrMissing, "")
	default:
		r.add(pointer, spec.BundleSeccomp, "such as SCMP_ACT_ERRNO", ErrInvalid, "unknown action %q", a)
	}
	if withErrno {
		r.add(pointer, spec.BundleSeccomp, "no errnoRet, or SCMP_ACT_ERRNO", ErrInvalid, "%s takes no errno", a)
	}
}

func architectures() []specs.Arch {
	return []specs.Arch{
		specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS, specs.ArchMIPS64,
		specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64,
		specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64,
		specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
