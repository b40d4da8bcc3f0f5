package host_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

func mounted(m specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) }
}

func bound(source, destination string, options ...string) func(*specs.Spec) {
	return mounted(specs.Mount{Type: "bind", Source: source, Destination: destination, Options: append([]string{"rbind"}, options...)})
}

func runs(name string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Args = []string{name} }
}

func limits(r specs.LinuxResources) func(*specs.Spec) {
	return func(s *specs.Spec) {
		if s.Linux.Resources != nil {
			r.Devices = s.Linux.Resources.Devices
		}
		s.Linux.Resources = &r
	}
}

func parameter(key, value string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{key: value} }
}

func scheduled(c specs.Scheduler) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Scheduler = &c }
}

func hooked(h specs.Hooks) func(*specs.Spec) { return func(s *specs.Spec) { s.Hooks = &h } }

func joining(t specs.LinuxNamespaceType, path string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		without(s, t)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: path})
	}
}

// mapped is a change of a container in a user namespace of n ids.
func mapped(n uint32, change func(*specs.Spec)) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
		userNamespace(s, 100000, n)
		change(s)
	}
}

// asUser runs a program that root and the group 1001 may execute.
func asUser(uid, gid uint32) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Process.Args, s.Process.User = []string{"/bin/private"}, specs.User{UID: uid, GID: gid}
		s.Process.Capabilities = &specs.LinuxCapabilities{}
	}
}

func nothing(*specs.Spec) {}

func shifted(seconds int64) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: seconds}}
	}
}

func noFile(hard uint64) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: hard, Soft: 1024}}
	}
}

// disk is a block device of the machine.
func disk() specs.LinuxBlockIODevice {
	var d specs.LinuxBlockIODevice
	entries, _ := os.ReadDir("/sys/dev/block") // without one, there is none with number 0
	for _, e := range entries {
		if _, err := os.Stat("/sys/dev/block/" + e.Name() + "/queue"); err == nil { // no partition
			d.Major, d.Minor = numbers(e.Name())
		}
	}
	return d
}

func numbers(s string) (major, minor int64) {
	at := &major
	for _, c := range s {
		if c == ':' {
			at = &minor
			continue
		}
		*at = *at*10 + int64(c-'0')
	}
	return major, minor
}

func throttled(d specs.LinuxBlockIODevice) func(*specs.Spec) {
	return limits(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: d, Rate: 1 << 20}}}})
}

// rootDeeds are changes for a caller who is root.
func rootDeeds(g *ground) []deed {
	idmap := func(source string) func(*specs.Spec) {
		m := []specs.LinuxIDMapping{{HostID: 100000, Size: 1000}}
		return mounted(specs.Mount{Type: "bind", Source: source, Destination: "/data", Options: []string{"bind", "idmap"}, UIDMappings: m, GIDMappings: m})
	}
	own := "/proc/" + strconv.Itoa(os.Getpid()) + "/ns/"
	return slices.Concat([]deed{
		{name: "base", change: nothing},
		{name: "clock shifted", change: shifted(10), own: true},
		{name: "clock below 0", change: shifted(-1e10), own: true},
		{name: "namespace gone", change: joining(specs.NetworkNamespace, "/none")},
		{name: "namespace that is a device", change: joining(specs.NetworkNamespace, "/dev/null")},
		{name: "namespace of another type", change: joining(specs.NetworkNamespace, own+"uts")},
		{name: "namespace of the caller", change: joining(specs.IPCNamespace, own+"ipc")},
		{name: "own user namespace", change: joining(specs.UserNamespace, own+"user")},
		{name: "user namespace", change: mapped(65536, nothing)},
		{name: "user not mapped", change: mapped(65536, func(s *specs.Spec) { s.Process.User.UID = 70000 })},
		{name: "group not mapped", change: mapped(65536, func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{70000} })},
		{name: "proc of the host's processes", change: mapped(65536, func(s *specs.Spec) { without(s, specs.PIDNamespace) })},
		{name: "queues of the host", change: mapped(65536, func(s *specs.Spec) { without(s, specs.IPCNamespace) })},
		{name: "huge pages in a user namespace", change: mapped(65536, mounted(specs.Mount{Type: "hugetlbfs", Source: "x", Destination: "/data"}))},
		{name: "group of terminals not mapped", change: mapped(5, nothing)},
		{name: "no node to show", change: mapped(65536, func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/host-test-none", Type: "c", Major: 1, Minor: 3}}
		}), crun: "leaves the device out"},
		{name: "real time of disks in a user namespace", change: mapped(65536, func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT}
		}), own: true},
	}, mountDeeds(g, idmap), programDeeds(g), limitDeeds(), kernelDeeds())
}

func mountDeeds(g *ground, idmap func(string) func(*specs.Spec)) []deed {
	src, file := filepath.Join(g.dir, "src"), filepath.Join(g.dir, "file")
	return []deed{
		{name: "unknown file system", change: mounted(specs.Mount{Type: "nosuchfs", Source: "x", Destination: "/data"})},
		{name: "unknown option", change: mounted(specs.Mount{Type: "tmpfs", Source: "x", Destination: "/data", Options: []string{"sise=1m"}})},
		{name: "value that is no number", change: mounted(specs.Mount{Type: "tmpfs", Source: "x", Destination: "/data", Options: []string{"size=much"}})},
		{name: "known options", change: mounted(specs.Mount{Type: "tmpfs", Source: "x", Destination: "/data", Options: []string{"nosuid", "size=1m", "mode=700"}})},
		{name: "bind", change: bound("src", "/data")},
		{name: "source gone", change: bound("gone", "/data")},
		{name: "file over a directory", change: bound("file", "/data")},
		{name: "directory over a file", change: bound("src", "/etc/file")},
		{name: "tmpfs over a file", change: mounted(specs.Mount{Type: "tmpfs", Source: "x", Destination: "/etc/file"})},
		{name: "read-only with all below", change: bound("src", "/data", "rro")},
		{name: "disk that is a file", change: mounted(specs.Mount{Type: "ext4", Source: file, Destination: "/data"})},
		{name: "disk gone", change: mounted(specs.Mount{Type: "ext4", Source: "/dev/host-test-none", Destination: "/data"})},
		{name: "overlay", change: mounted(specs.Mount{Type: "overlay", Source: "overlay", Destination: "/data", Options: []string{"lowerdir=" + src + ":" + filepath.Join(g.dir, "rootfs/etc")}})},
		{name: "layer gone", change: mounted(specs.Mount{Type: "overlay", Source: "overlay", Destination: "/data", Options: []string{"lowerdir=/gone:" + src}})},
		{name: "mapped ids", change: idmap(src), own: true},
		{name: "mapped ids of proc", change: idmap("/proc"), own: true},
	}
}

func programDeeds(g *ground) []deed {
	return []deed{
		{name: "program gone", change: runs("none")},
		{name: "program that is a directory", change: runs("/bin")},
		{name: "program that is not executable", change: runs("/bin/plain")},
		{name: "program that is text", change: runs("/bin/text")},
		{name: "program of another machine", change: runs("/bin/alien")},
		{name: "script", change: runs("script")},
		{name: "script without its interpreter", change: runs("orphan")},
		{name: "program of root alone", change: asUser(2000, 2000)},
		{name: "program of root and a group", change: asUser(2000, 1001)},
		{name: "hook", change: hooked(specs.Hooks{CreateRuntime: []specs.Hook{{Path: filepath.Join(g.dir, "hook")}}})},
		{name: "hook gone", change: hooked(specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/gone"}}})},
		{name: "hook that is not executable", change: hooked(specs.Hooks{CreateRuntime: []specs.Hook{{Path: filepath.Join(g.dir, "file")}}})},
		{name: "hook in the container", change: hooked(specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/true", Args: []string{"true"}}}})},
		{name: "hook gone in the container", change: hooked(specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/none"}}})},
	}
}

func limitDeeds() []deed {
	memory := func(m specs.LinuxMemory) func(*specs.Spec) { return limits(specs.LinuxResources{Memory: &m}) }
	cpu := func(c specs.LinuxCPU) func(*specs.Spec) { return limits(specs.LinuxResources{CPU: &c}) }
	return []deed{
		{name: "memory", change: memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20))}), limit: true},
		{name: "swap", change: memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20))}), limit: true},
		{name: "swappiness", change: memory(specs.LinuxMemory{Swappiness: ptr(uint64(10))}), limit: true},
		{name: "shares", change: cpu(specs.LinuxCPU{Shares: ptr(uint64(512))}), limit: true},
		{name: "quota", change: cpu(specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000))}), limit: true},
		{name: "burst", change: cpu(specs.LinuxCPU{Quota: ptr(int64(50000)), Burst: ptr(uint64(1000))}), own: true, limit: true},
		{name: "idle", change: cpu(specs.LinuxCPU{Idle: ptr(int64(1))}), own: true, limit: true},
		{name: "processor", change: cpu(specs.LinuxCPU{Cpus: "0"}), limit: true},
		{name: "no such processor", change: cpu(specs.LinuxCPU{Cpus: "0,4000"}), limit: true},
		{name: "no such memory", change: cpu(specs.LinuxCPU{Mems: "200"}), limit: true},
		{name: "tasks", change: limits(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(100))}}), limit: true},
		{name: "weight of disks", change: limits(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(100))}}), limit: true},
		{name: "rate of a disk", change: throttled(disk()), limit: true},
		{name: "rate of no disk", change: throttled(specs.LinuxBlockIODevice{Major: 250, Minor: 4000}), limit: true},
		{name: "huge pages", change: limits(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 << 20}}}), limit: true},
		{name: "huge pages of no size", change: limits(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "8MB", Limit: 8 << 20}}}), limit: true},
		{name: "rdma", change: limits(specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx0": {HcaHandles: ptr(uint32(1))}}}), limit: true},
		{name: "class of packets", change: limits(specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1))}}), limit: true},
		{name: "files of v2", change: limits(specs.LinuxResources{Unified: map[string]string{"memory.low": "1048576"}}), limit: true},
		{name: "open files", change: noFile(4096)},
		{name: "open files above the kernel's limit", change: noFile(1 << 40)},
		{name: "score", change: func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-500) }},
	}
}

func kernelDeeds() []deed {
	profile := func(p specs.LinuxSeccomp) func(*specs.Spec) { return func(s *specs.Spec) { s.Linux.Seccomp = &p } }
	return []deed{
		{name: "batch", change: scheduled(specs.Scheduler{Policy: specs.SchedBatch, Nice: -5}), own: true},
		{name: "real time", change: scheduled(specs.Scheduler{Policy: specs.SchedFIFO, Priority: 1}), own: true},
		{name: "no priority", change: scheduled(specs.Scheduler{Policy: specs.SchedRR}), own: true},
		{name: "deadline", change: scheduled(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1e5, Deadline: 1e8, Period: 1e8}), own: true},
		{name: "deadline without runtime", change: scheduled(specs.Scheduler{Policy: specs.SchedDeadline}), own: true},
		{name: "policy that no kernel has", change: scheduled(specs.Scheduler{Policy: specs.SchedISO}), own: true},
		{name: "clamp", change: scheduled(specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin}}), own: true},
		{name: "disks", change: func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT}
		}, own: true},
		{name: "profile of AppArmor", change: func(s *specs.Spec) { s.Process.ApparmorProfile = "host-test-none" }},
		{name: "personality", change: func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }},
		{name: "parameter of the network", change: parameter("net.ipv4.ip_forward", "1")},
		{name: "parameter of queues", change: parameter("fs.mqueue.msg_max", "10")},
		{name: "parameter of shared memory", change: parameter("kernel.shmmax", "1000000")},
		{name: "parameter of the machine", change: parameter("vm.swappiness", "60")},
		{name: "parameter of the first network namespace", change: parameter("net.core.netdev_budget", "300")},
		{name: "unknown parameter", change: parameter("net.ipv4.nothing", "1")},
		{name: "parameter of the host", change: func(s *specs.Spec) {
			parameter("net.ipv4.ip_forward", "1")(s)
			without(s, specs.NetworkNamespace)
		}},
		{name: "filter", change: profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{}, Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot"}, Action: specs.ActErrno}}})},
		{name: "flag of a filter", change: profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"reboot"}, Action: specs.ActLog,
		}}}), own: true},
	}
}

// userDeeds are changes for a caller without privileges, who has the id 65534 and no others.
func userDeeds(g *ground) []deed {
	src := filepath.Join(g.dir, "src")
	return []deed{
		{name: "base", change: nothing},
		{name: "no user namespace", change: func(s *specs.Spec) {
			without(s, specs.UserNamespace)
			s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
		}, crun: "adds a user namespace"},
		{name: "ids of others", change: func(s *specs.Spec) {
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 1, HostID: 100000, Size: 100})
		}},
		{name: "user not mapped", change: func(s *specs.Spec) { s.Process.User.UID = 5 }},
		{name: "groups", change: func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{0} }, crun: "leaves the groups out"},
		{name: "memory", change: limits(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}}), limit: true, crun: "sets no limit"},
		{name: "open files", change: noFile(1024)},
		{name: "more open files", change: noFile(1 << 19)},
		{name: "group of terminals not mapped", change: mounted(specs.Mount{Type: "devpts", Source: "devpts", Destination: "/data", Options: []string{"newinstance", "gid=5"}})},
		{name: "proc of the host's processes", change: func(s *specs.Spec) { without(s, specs.PIDNamespace) }},
		{name: "bind", change: bound(src, "/data")},
		{name: "source gone", change: bound("/gone", "/data")},
		{name: "unknown file system", change: mounted(specs.Mount{Type: "nosuchfs", Source: "x", Destination: "/data"})},
		{name: "disk", change: mounted(specs.Mount{Type: "ext4", Source: src, Destination: "/data"})},
		{name: "mapped ids", change: func(s *specs.Spec) {
			m := []specs.LinuxIDMapping{{HostID: 0, Size: 1}}
			mounted(specs.Mount{Type: "bind", Source: src, Destination: "/data", Options: []string{"bind", "idmap"}, UIDMappings: m, GIDMappings: m})(s)
		}, own: true},
		{name: "nice", change: scheduled(specs.Scheduler{Policy: specs.SchedOther, Nice: -5}), own: true},
		{name: "real time", change: scheduled(specs.Scheduler{Policy: specs.SchedFIFO, Priority: 1}), own: true},
		{name: "real time of disks", change: func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT}
		}, own: true},
		{name: "parameter of the network", change: parameter("net.ipv4.ip_forward", "1")},
		{name: "parameter of the machine", change: parameter("vm.swappiness", "60")},
		{name: "program gone", change: runs("none")},
	}
}
