package host

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

func ptr[T any](v T) *T { return &v }

// facts are those of a machine that can do everything, asked by root.
func facts() Facts {
	all := []Range{{0, 4294967294}}
	f := Facts{
		Bundle: "/b", Kernel: [2]int{6, 18}, Arch: "amd64",
		Caller: Caller{
			Effective: 1<<41 - 1, Bounding: 1<<41 - 1, LastCap: 40, UIDs: all, GIDs: all, MapHelpers: true,
			Limits: map[string]uint64{"RLIMIT_NOFILE": 1 << 19, "RLIMIT_CORE": 0},
		},
		Modules: Modules{
			AppArmor: true, SELinux: true, Profiles: map[string]bool{"docker-default": true}, LabelsRefused: map[string]bool{"bad": true},
			Actions: map[string]bool{"errno": true, "allow": true, "user_notif": true}, FlagsRefused: map[specs.LinuxSeccompFlag]bool{},
		},
		Control: Control{
			Version: "v2", Writable: true, Filter: true, CPUs: []Range{{0, 3}}, Mems: []Range{{0, 0}},
			Controllers: map[string]int{"cpu": 2, "cpuset": 2, "memory": 2, "io": 2, "pids": 2, "hugetlb": 2, "rdma": 2},
			Known: map[string]bool{
				"memory.max": true, "memory.low": true, "memory.swap.max": true, "cpu.max": true, "cpu.weight": true, "cpu.max.burst": true, "cpu.idle": true,
				"io.max": true, "io.weight": true, "pids.max": true,
			},
			Seen:      map[string]bool{"memory": true, "cpu": true, "io": true, "pids": true},
			PageSizes: []string{"2MB"}, RDMA: map[string]bool{"mlx0": true}, Disks: map[string]bool{"8:0": true},
		},
		Namespaces: map[specs.LinuxNamespaceType]int{
			"pid": 100, "network": 100, "mount": 100, "ipc": 100, "uts": 100, "user": 100, "cgroup": 100, "time": 100,
		},
		Monotonic: 100 * time.Second, Boottime: 200 * time.Second,
		Filesystems: map[string]Filesystem{
			"proc": {}, "sysfs": {}, "tmpfs": {}, "devpts": {}, "mqueue": {}, "overlay": {}, "cgroup": {}, "cgroup2": {}, "ext4": {Device: true}, "hugetlbfs": {}, "fuse": {},
		},
		CPUs: []Range{{0, 3}}, Nodes: []Range{{0, 0}}, NrOpen: 1 << 20, Compat32: true,
		Majors: map[string]map[int64]bool{"c": {1: true, 10: true}, "b": {8: true}},
		Files: map[string]File{
			"/b/rootfs": {Kind: Directory}, "/src": {Kind: Directory, FS: "ext4"}, "/file": {Kind: Regular, FS: "ext4"}, "/dev/sda": {Kind: Block},
			"/hook": {Kind: Regular, Mode: 0o755}, "/ns/net": {Kind: Namespace, Type: "network"}, "/sock": {Kind: Socket},
			"/dev/fuse": {Kind: Char, Device: [2]uint32{10, 229}},
		},
		Inside: map[string]File{
			"/bin/sh": {Kind: Regular, Mode: 0o755, Program: &Program{Head: []byte("\x7fELF"), ELF: true, Bits: 64, Machine: 62}},
			"/data":   {Kind: Directory}, "/etc/f": {Kind: Regular, Mode: 0o644}, "/proc": {Kind: Directory},
		},
		Sysctls:    map[string]bool{"net.ipv4.ip_forward": true},
		Interfaces: map[string]bool{"eth1": true},
		Resctrl:    Resctrl{Mounted: true, Kernel: true, Info: map[string]bool{"L3": true, "MB": true, "L3_MON": true}},
	}
	return f
}

// sound is a config that each host can run.
func sound() *specs.Spec {
	s := &specs.Spec{Version: "1.3.0", Root: &specs.Root{Path: "rootfs"}, Process: &specs.Process{
		Args: []string{"sh"}, Cwd: "/", Env: []string{"PATH=/usr/bin:/bin"},
	}, Linux: &specs.Linux{}}
	for _, t := range []specs.LinuxNamespaceType{"pid", "mount", "ipc", "uts", "network", "cgroup"} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t})
	}
	return s
}

// userns gives the config a user namespace that maps n ids from first on.
func userns(s *specs.Spec, first, n uint32) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: n}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = m, m
}

// unprivileged makes the caller an ordinary user, 1000.
func unprivileged(f *Facts) {
	f.UID, f.GID, f.Effective, f.Bounding = 1000, 1000, 0, 1<<41-1
	f.SubUIDs, f.SubGIDs = []Range{{100000, 165535}}, []Range{{100000, 165535}}
	f.Control.Writable = false
}

func rootless(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "user"})
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = m, m
}

// row is one change of the config, and one of the facts with which alone there is a finding.
type row struct {
	name    string
	config  func(*specs.Spec)
	lack    func(*Facts)
	pointer string
	effect  Effect
	kind    error
	text    string // a part of what is said
}

func TestJudge(t *testing.T) {
	if found := Judge(sound(), facts()); len(found) > 0 {
		t.Fatalf("a sound config on a sound machine: %v", found)
	}
	for _, r := range slices.Concat(namespaceRows(), processRows(), mountRows(), resourceRows(), linuxRows(), programRows()) {
		t.Run(r.name, func(t *testing.T) {
			s, f := sound(), facts()
			r.config(s)
			if found := Judge(s, f); len(found) > 0 {
				t.Fatalf("found where nothing lacks: %v", found)
			}
			r.lack(&f)
			found := Judge(s, f)
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Pointer == r.pointer })
			if i < 0 {
				t.Fatalf("no finding at %s: %v", r.pointer, found)
			}
			if g := found[i]; g.Effect != r.effect || !errors.Is(g, r.kind) || !strings.Contains(g.Error(), r.text) || g.Hint == "" {
				t.Errorf("got %v, hint %q; want %s, %v, %q", g, g.Hint, r.effect, r.kind, r.text)
			}
			if len(found) > 1 {
				t.Errorf("more than one: %v", found)
			}
		})
	}
}

// TestJudge_always has what no facts allow.
func TestJudge_always(t *testing.T) {
	for _, r := range []row{
		{name: "policy ISO", config: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedISO} }, pointer: "/process/scheduler/policy", kind: ErrKernel},
		{name: "priority 0", config: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO} }, pointer: "/process/scheduler/priority", kind: ErrRange},
		{name: "deadline without runtime", config: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline} }, pointer: "/process/scheduler/runtime", kind: ErrRange},
		{name: "sysctl of the machine", config: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"vm.swappiness": "1"} }, pointer: "/linux/sysctl/vm.swappiness", kind: ErrNamespaced},
		{name: "sysctl of the first network namespace", config: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.core.netdev_budget": "1"} }, pointer: "/linux/sysctl/net.core.netdev_budget", kind: ErrNamespaced},
		{name: "host name by sysctl", config: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel/hostname": "x"} }, pointer: "/linux/sysctl/kernel~1hostname", kind: ErrNamespaced},
		{name: "sysctl of the host's namespace", config: func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"user.max_user_namespaces": "1"}
		}, pointer: "/linux/sysctl/user.max_user_namespaces", kind: ErrNamespaced},
		{name: "lo", config: func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"lo": {}} }, pointer: "/linux/netDevices/lo", kind: ErrKernel},
		{name: "device without a network namespace", config: func(s *specs.Spec) {
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {}}
			s.Linux.Namespaces = s.Linux.Namespaces[:4]
		}, pointer: "/linux/netDevices/eth1", kind: ErrNamespaced},
		{name: "proc without a pid namespace", config: func(s *specs.Spec) {
			userns(s, 100000, 65536)
			s.Linux.Namespaces = s.Linux.Namespaces[1:]
			s.Mounts = []specs.Mount{{Type: "proc", Destination: "/proc"}}
		}, pointer: "/mounts/0", kind: ErrPrivilege},
		{name: "type not for user namespaces", config: func(s *specs.Spec) {
			userns(s, 100000, 65536)
			s.Mounts = []specs.Mount{{Type: "hugetlbfs", Destination: "/data"}}
		}, pointer: "/mounts/0/type", kind: ErrPrivilege},
		{name: "disk in a user namespace", config: func(s *specs.Spec) {
			userns(s, 100000, 65536)
			s.Mounts = []specs.Mount{{Type: "ext4", Source: "/dev/sda", Destination: "/data"}}
		}, pointer: "/mounts/0/type", kind: ErrPrivilege},
		{name: "group of devpts that is not mapped", config: func(s *specs.Spec) {
			userns(s, 1000, 1)
			s.Mounts = []specs.Mount{{Type: "devpts", Destination: "/data", Options: []string{"gid=5"}}}
		}, pointer: "/mounts/0/options/0", kind: ErrRange},
		{name: "user that is not mapped", config: func(s *specs.Spec) { userns(s, 1000, 1); s.Process.User.UID = 7 }, pointer: "/process/user/uid", kind: ErrRange},
		{name: "real time of disks in a user namespace", config: func(s *specs.Spec) {
			userns(s, 0, 1)
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT}
		}, pointer: "/process/ioPriority/class", kind: ErrPrivilege},
		{name: "swappiness on v2", config: func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(1))}}
		}, pointer: "/linux/resources/memory/swappiness", kind: ErrKernel},
	} {
		t.Run(r.name, func(t *testing.T) {
			s := sound()
			r.config(s)
			found := Judge(s, facts())
			if len(found) != 1 || found[0].Pointer != r.pointer || found[0].Effect != Refused || !errors.Is(found[0], r.kind) {
				t.Errorf("got %v, want one at %s of %v", found, r.pointer, r.kind)
			}
		})
	}
}

// TestJudge_unknown: what is not known is no finding.
func TestJudge_unknown(t *testing.T) {
	s := everything()
	f := Facts{Caller: facts().Caller, Compat32: true}
	f.Limits = nil
	for _, g := range Judge(s, f) {
		if errors.Is(g, ErrAbsent) && g.Pointer != "/linux/intelRdt" {
			t.Errorf("nothing is known, and said is: %v", g)
		}
	}
	if Judge(nil, Facts{}) != nil {
		t.Error("a finding without a config")
	}
}

// TestJudge_links: what a link of the root directory leads into a mount is not judged by what the mount covers.
func TestJudge_links(t *testing.T) {
	s, f := sound(), facts()
	s.Process.Args = []string{"/bin/sh"}
	s.Mounts = []specs.Mount{{Type: "bind", Source: "/src", Destination: "/usr"}}
	f.Inside["/bin/sh"] = File{Kind: Absent, Real: "/usr/bin/sh"}
	if found := Judge(s, f); len(found) > 0 {
		t.Errorf("the mount may have it: %v", found)
	}
	s.Mounts[0].Destination = "/opt"
	if found := Judge(s, f); len(found) != 1 {
		t.Errorf("nothing has it: %v", found)
	}
}

// TestJudge_bounded: a config of many faults gives no list without an end.
func TestJudge_bounded(t *testing.T) {
	s := sound()
	for range 3 * maxFindings {
		s.Mounts = append(s.Mounts, specs.Mount{Type: "nothing", Destination: "/data"})
	}
	if n := len(Judge(s, facts())); n != maxFindings {
		t.Errorf("%d findings", n)
	}
}

// TestJudge_large: time grows with the config, and not with its square.
func TestJudge_large(t *testing.T) {
	const n = 20000
	s := sound()
	userns(s, 100000, 1)
	s.Linux.Sysctl = map[string]string{}
	facts := facts()
	for i := range uint32(n) {
		name := strconv.Itoa(int(i))
		s.Mounts = append(s.Mounts, specs.Mount{Type: "tmpfs", Destination: "/data/" + name})
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "time"})
		s.Linux.Sysctl["net.ipv4.conf."+name+".x"] = ""
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/dev/" + name, Type: "c", Major: 1})
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 2 * i, HostID: 2 * i, Size: 1})
		s.Linux.GIDMappings = append(s.Linux.GIDMappings, specs.LinuxIDMapping{ContainerID: 2 * i, HostID: 2 * i, Size: 1})
		s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, 2*i)
		facts.SubUIDs = append(facts.SubUIDs, Range{uint64(2 * i), uint64(2 * i)})
	}
	s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: strings.Repeat("0,", 1<<20) + "0"}
	wanted(s, "/b")
	Judge(s, facts)
	unprivileged(&facts)
	Judge(s, facts)
}

// everything is a config in which each property is set that is judged.
func everything() *specs.Spec {
	s := sound()
	rootless(s)
	for _, r := range slices.Concat(namespaceRows(), processRows(), mountRows(), resourceRows(), linuxRows(), programRows()) {
		one := sound()
		r.config(one)
		merge(reflect.ValueOf(s).Elem(), reflect.ValueOf(one).Elem())
	}
	return s
}

// merge takes over what is set, the elements of lists after those that are there.
func merge(to, from reflect.Value) {
	switch {
	case from.IsZero():
	case from.Kind() == reflect.Pointer && !to.IsNil() && from.Elem().Kind() == reflect.Struct:
		merge(to.Elem(), from.Elem())
	case from.Kind() == reflect.Struct:
		for i := range from.NumField() {
			merge(to.Field(i), from.Field(i))
		}
	case from.Kind() == reflect.Slice && to.Len() < 200:
		to.Set(reflect.AppendSlice(to, from))
	case from.Kind() == reflect.Map && !to.IsNil():
		for _, k := range from.MapKeys() {
			to.SetMapIndex(k, from.MapIndex(k))
		}
	default:
		to.Set(from)
	}
}

// FuzzJudge: no config that decodes makes the judge stop or talk without end, whatever the facts are.
func FuzzJudge(f *testing.F) {
	for _, s := range []*specs.Spec{sound(), everything()} {
		raw, err := bundle.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"process":{"args":["x"],"rlimits":[{}]},"linux":{"namespaces":[{"path":"x"}],"resources":{"unified":{"":""}},"seccomp":{}},"mounts":[{}],"hooks":{"prestart":[{}]}}`))
	user := facts()
	unprivileged(&user)
	user.InUserNamespace, user.SetattrMissing, user.Kernel = true, true, [2]int{4, 18}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := bundle.Judge(raw, "").Spec // as far as it can be decoded
		wanted(s, "/b")
		for _, have := range []Facts{{}, facts(), user} {
			found := Judge(s, have)
			if len(found) > maxFindings {
				t.Errorf("%d findings", len(found))
			}
			for _, g := range found {
				if g.Pointer == "" || g.Pointer[0] != '/' || g.Effect != Refused && g.Effect != Changed || g.Hint == "" || g.Err == nil {
					t.Errorf("half a finding: %#v", g)
				}
			}
		}
	})
}
