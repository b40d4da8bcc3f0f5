package host

import (
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func namespaceRows() []row {
	timens := func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "time"})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -50}}
	}
	joins := func(s *specs.Spec) { s.Linux.Namespaces[4].Path = "/ns/net" }
	file := func(f File) func(*Facts) {
		return func(facts *Facts) { facts.Files["/ns/net"] = f }
	}
	return []row{
		{"namespace that the kernel lacks", timens, func(f *Facts) { delete(f.Namespaces, "time") }, "/linux/namespaces/6/type", Refused, ErrKernel, "type time"},
		{"namespaces used up", timens, func(f *Facts) { f.Namespaces["time"] = 0 }, "/linux/namespaces/6/type", Refused, ErrOff, ""},
		{"clock below 0", timens, func(f *Facts) { f.Monotonic = 10 * time.Second }, "/linux/timeOffsets/monotonic", Refused, ErrRange, "-50 s"},
		{"user namespaces forbidden", rootless, func(f *Facts) {
			unprivileged(f)
			f.UsernsForbidden = "kernel.unprivileged_userns_clone=1"
		}, "/linux/namespaces/6/type", Refused, ErrOff, "kernel.unprivileged_userns_clone"},
		{"no user namespace, no privileges", func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[1:2] }, unprivileged, "/linux/namespaces/0/type", Refused, ErrPrivilege, ""},
		{"no namespaces, no privileges", func(s *specs.Spec) { s.Linux.Namespaces = nil }, unprivileged, "/linux/namespaces", Refused, ErrPrivilege, ""},
		{"namespace that is gone", joins, file(File{Kind: Absent}), "/linux/namespaces/4/path", Refused, ErrAbsent, "/ns/net"},
		{"namespace that is a file", joins, file(File{Kind: Regular}), "/linux/namespaces/4/path", Refused, ErrKind, "no namespace"},
		{"namespace of another type", joins, file(File{Kind: Namespace, Type: "uts"}), "/linux/namespaces/4/path", Refused, ErrKind, "of type uts, not network"},
		{"namespace from above", joins, file(File{Kind: Namespace, Type: "network", Above: true}), "/linux/namespaces/4/path", Refused, ErrPrivilege, "above"},
		{"namespace that may not be seen", joins, file(File{Kind: Denied}), "/linux/namespaces/4/path", Refused, ErrPrivilege, ""},
		{"namespace on a dead server", joins, file(File{Kind: Hung}), "/linux/namespaces/4/path", Refused, ErrNoAnswer, ""},
		{
			"own user namespace", func(s *specs.Spec) {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "user", Path: "/ns/user"})
			},
			func(f *Facts) { f.Files["/ns/user"] = File{Kind: Namespace, Type: "user", Own: true} }, "/linux/namespaces/6/path", Refused, ErrKind, "that it is in",
		},
		{"ids of nobody", rootless, func(f *Facts) { unprivileged(f); f.SubUIDs = nil }, "/linux/uidMappings/1", Refused, ErrPrivilege, "/etc/subuid"},
		{"groups of nobody", rootless, func(f *Facts) { unprivileged(f); f.SubGIDs = []Range{{100000, 100001}} }, "/linux/gidMappings/1", Refused, ErrPrivilege, "/etc/subgid"},
		{"ids that are not mapped", func(s *specs.Spec) {
			rootless(s)
			s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 0, Size: 1}}
		}, func(f *Facts) { f.UIDs = []Range{{0, 100999}} }, "/linux/uidMappings/1", Refused, ErrRange, "100000 to 165535"},
		{"no newuidmap", func(s *specs.Spec) {
			rootless(s)
			s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 1000, Size: 1}}
			s.Linux.UIDMappings = s.Linux.UIDMappings[1:]
			s.Process.User.UID = 1
		}, func(f *Facts) { unprivileged(f); f.MapHelpers = false }, "/linux/uidMappings/0", Refused, ErrAbsent, "a program that may map"},
		{"user that is not mapped", func(s *specs.Spec) { s.Process.User.UID = 70000 }, func(f *Facts) { f.UIDs = []Range{{0, 65535}} }, "/process/user/uid", Refused, ErrRange, "70000"},
		{"group that is not mapped", func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{70000} }, func(f *Facts) { f.GIDs = []Range{{0, 65535}} }, "/process/user/additionalGids/0", Refused, ErrRange, "70000"},
		{"groups denied", func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{7} }, func(f *Facts) { f.SetgroupsDenied = true }, "/process/user/additionalGids", Refused, ErrPrivilege, "setgroups"},
	}
}

func processRows() []row {
	caps := func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_CHECKPOINT_RESTORE"}, Permitted: []string{"CAP_CHECKPOINT_RESTORE"}}
	}
	limit := func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1 << 20, Soft: 1024}}
	}
	drop := func(capability int) func(*Facts) { return func(f *Facts) { f.Effective &^= 1 << capability } }
	policy := func(p specs.LinuxSchedulerPolicy) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: p}
			if p == specs.SchedFIFO {
				s.Process.Scheduler.Priority = 1
			}
		}
	}
	oom := func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-5) }
	cpus := func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "2-3"} }
	label := func(s *specs.Spec) { s.Process.SelinuxLabel = "good" }
	profile := func(s *specs.Spec) { s.Process.ApparmorProfile = "docker-default" }
	return []row{
		{"capability that the kernel lacks", caps, func(f *Facts) { f.LastCap = 39 }, "/process/capabilities/bounding/0", Changed, ErrKernel, "CAP_CHECKPOINT_RESTORE"},
		{"capability that the caller lacks", caps, func(f *Facts) { f.Bounding = 1 }, "/process/capabilities/bounding/0", Changed, ErrPrivilege, "bounding set"},
		{"limit above the caller's", limit, drop(capSysResource), "/process/rlimits/0/hard", Refused, ErrPrivilege, "RLIMIT_NOFILE above 524288"},
		{"limit above the kernel's", limit, func(f *Facts) { f.NrOpen = 1 << 16 }, "/process/rlimits/0/hard", Refused, ErrRange, "1048576"},
		{"score below the caller's", oom, drop(capSysResource), "/process/oomScoreAdj", Refused, ErrPrivilege, ""},
		{"real time", policy(specs.SchedFIFO), drop(capSysNice), "/process/scheduler/policy", Refused, ErrPrivilege, "SCHED_FIFO"},
		{"real time in a group of v1", policy(specs.SchedFIFO), func(f *Facts) {
			f.Control.Controllers["cpu"], f.Control.Known["cpu.rt_runtime_us"] = 1, true
		}, "/process/scheduler/policy", Refused, ErrOff, "real time"},
		{"nice", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: -5} }, drop(capSysNice), "/process/scheduler/nice", Refused, ErrPrivilege, ""},
		{"uclamp", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin}}
		}, func(f *Facts) { f.UclampMissing = true }, "/process/scheduler/flags/0", Refused, ErrKernel, "UCLAMP"},
		{"processors offline", cpus, func(f *Facts) { f.CPUs = []Range{{0, 1}} }, "/process/execCPUAffinity/final", Changed, ErrAbsent, "each exec would fail"},
		{"some processors offline", cpus, func(f *Facts) { f.CPUs = []Range{{0, 2}} }, "/process/execCPUAffinity/final", Changed, ErrAbsent, "some of"},
		{"no AppArmor", profile, func(f *Facts) { f.AppArmor = false }, "/process/apparmorProfile", Refused, ErrOff, "AppArmor"},
		{"profile not loaded", profile, func(f *Facts) { f.Profiles = map[string]bool{} }, "/process/apparmorProfile", Refused, ErrAbsent, "docker-default"},
		{"no AppArmor, unconfined", func(s *specs.Spec) { s.Process.ApparmorProfile = "unconfined" }, func(f *Facts) { f.AppArmor = false }, "/process/apparmorProfile", Changed, ErrOff, ""},
		{"no SELinux", label, func(f *Facts) { f.SELinux = false }, "/process/selinuxLabel", Changed, ErrOff, "SELinux"},
		{"label not of the policy", label, func(f *Facts) { f.LabelsRefused["good"] = true }, "/process/selinuxLabel", Refused, ErrAbsent, "good"},
		{"no SELinux for mounts", func(s *specs.Spec) { s.Linux.MountLabel = "m" }, func(f *Facts) { f.SELinux = false }, "/linux/mountLabel", Changed, ErrOff, "SELinux"},
		{"mount label not of the policy", func(s *specs.Spec) { s.Linux.MountLabel = "m" }, func(f *Facts) { f.LabelsRefused["m"] = true }, "/linux/mountLabel", Refused, ErrAbsent, ""},
		{"no terminals", func(s *specs.Spec) { s.Process.Terminal = true }, func(f *Facts) { delete(f.Filesystems, "devpts") }, "/process/terminal", Refused, ErrKernel, "devpts"},
		{"no devpts in the container", func(s *specs.Spec) {
			s.Process.Terminal = true
			s.Mounts = []specs.Mount{{Type: "tmpfs", Destination: "/data"}}
		}, func(f *Facts) { f.Inside["/dev/pts/ptmx"] = File{Kind: Absent} }, "/process/terminal", Refused, ErrAbsent, "devpts"},
		{"no 32-bit programs", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, func(f *Facts) { f.Compat32 = false }, "/linux/personality/domain", Changed, ErrKernel, ""},
		{"LINUX32 refused", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, func(f *Facts) {
			f.Compat32, f.Arch = false, "arm64"
			f.Inside["/bin/sh"].Program.Machine = 183
		}, "/linux/personality/domain", Refused, ErrKernel, "LINUX32"},
	}
}

func mountRows() []row {
	mounted := func(m specs.Mount) func(*specs.Spec) { return func(s *specs.Spec) { s.Mounts = []specs.Mount{m} } }
	bind := specs.Mount{Type: "bind", Source: "/src", Destination: "/data", Options: []string{"rbind", "rro"}}
	overlay := specs.Mount{Type: "overlay", Destination: "/data", Options: []string{"lowerdir=/src"}}
	idmap := specs.Mount{Type: "bind", Source: "/src", Destination: "/data", Options: []string{"bind", "idmap"}, UIDMappings: []specs.LinuxIDMapping{{Size: 1}}, GIDMappings: []specs.LinuxIDMapping{{Size: 1}}}
	tmpfs := specs.Mount{Type: "tmpfs", Destination: "/data", Options: []string{"size=1m"}}
	source := func(f File) func(*Facts) { return func(facts *Facts) { facts.Files["/src"] = f } }
	return []row{
		{"no root directory", func(*specs.Spec) {}, func(f *Facts) { f.Files["/b/rootfs"] = File{Kind: Absent}; f.Inside = nil }, "/root/path", Refused, ErrAbsent, "/b/rootfs"},
		{"root is a file", func(*specs.Spec) {}, func(f *Facts) { f.Files["/b/rootfs"] = File{Kind: Regular} }, "/root/path", Refused, ErrKind, ""},
		{"root without exec", func(*specs.Spec) {}, func(f *Facts) { f.Files["/b/rootfs"] = File{Kind: Directory, NoExec: true} }, "/root/path", Refused, ErrOff, "noexec"},
		{"unknown file system", mounted(tmpfs), func(f *Facts) { delete(f.Filesystems, "tmpfs") }, "/mounts/0/type", Refused, ErrKernel, "tmpfs"},
		{"option that is refused", mounted(tmpfs), func(f *Facts) { f.OptionRefused = map[int][]string{0: {"size=1m"}} }, "/mounts/0/options/0", Refused, ErrKernel, "size=1m"},
		{"source that is gone", mounted(bind), source(File{Kind: Absent}), "/mounts/0/source", Refused, ErrAbsent, "/src"},
		{"source that hangs", mounted(bind), source(File{Kind: Hung}), "/mounts/0/source", Refused, ErrNoAnswer, "/src"},
		{"file over a directory", mounted(bind), source(File{Kind: Regular}), "/mounts/0/source", Refused, ErrKind, "directory"},
		{"directory over a file", mounted(specs.Mount{Type: "bind", Source: "/file", Destination: "/etc/f"}), func(f *Facts) { f.Files["/file"] = File{Kind: Directory} }, "/mounts/0/source", Refused, ErrKind, ""},
		{"recursive options", mounted(bind), func(f *Facts) { f.SetattrMissing = true }, "/mounts/0/options/1", Refused, ErrKernel, "5.12"},
		{"idmap on another file system", mounted(idmap), source(File{Kind: Directory, FS: "overlay"}), "/mounts/0/source", Refused, ErrKernel, "overlay"},
		{"idmap on tmpfs of an older kernel", mounted(idmap), func(f *Facts) {
			f.Kernel = [2]int{6, 2}
			f.Files["/src"] = File{Kind: Directory, FS: "tmpfs"}
		}, "/mounts/0/source", Refused, ErrKernel, "tmpfs"},
		{"idmap without mount_setattr", mounted(idmap), func(f *Facts) { f.SetattrMissing = true }, "/mounts/0/options/1", Refused, ErrKernel, "idmap"},
		{"nosymfollow", mounted(specs.Mount{Type: "tmpfs", Destination: "/data", Options: []string{"nosymfollow"}}), func(f *Facts) { f.Kernel = [2]int{5, 4} }, "/mounts/0/options/0", Refused, ErrKernel, "5.10"},
		{"place in a read-only root", mounted(specs.Mount{Type: "tmpfs", Destination: "/missing"}), func(f *Facts) { f.Inside["/missing"] = File{Kind: Absent, Frozen: true} }, "/mounts/0/destination", Refused, ErrOff, "/missing"},
		{"place that is a file", mounted(tmpfs), func(f *Facts) { f.Inside["/data"] = File{Kind: Regular} }, "/mounts/0/destination", Refused, ErrKind, "/data"},
		{"disk that is gone", mounted(specs.Mount{Type: "ext4", Source: "/dev/sda", Destination: "/data"}), func(f *Facts) { f.Files["/dev/sda"] = File{Kind: Absent} }, "/mounts/0/source", Refused, ErrAbsent, "/dev/sda"},
		{"disk that is a file", mounted(specs.Mount{Type: "ext4", Source: "/dev/sda", Destination: "/data"}), func(f *Facts) { f.Files["/dev/sda"] = File{Kind: Regular} }, "/mounts/0/source", Refused, ErrKind, "ext4"},
		{"layer that is gone", mounted(overlay), source(File{Kind: Absent}), "/mounts/0/options/0", Refused, ErrAbsent, "/src"},
		{"layer that is a file", mounted(overlay), source(File{Kind: Regular}), "/mounts/0/options/0", Refused, ErrKind, "lowerdir"},
		{"group that is not mapped here", mounted(specs.Mount{Type: "devpts", Destination: "/data", Options: []string{"gid=5"}}), func(f *Facts) {
			f.GIDs = []Range{{0, 0}}
		}, "/mounts/0/options/0", Refused, ErrRange, "gid=5"},
		{"overlay in a user namespace", func(s *specs.Spec) {
			mounted(overlay)(s)
			userns(s, 100000, 65536)
		}, func(f *Facts) { f.Kernel = [2]int{5, 10} }, "/mounts/0/type", Refused, ErrKernel, "5.11"},
		{"FUSE", mounted(specs.Mount{Type: "fuse.sshfs", Source: "x", Destination: "/data"}), func(f *Facts) { delete(f.Filesystems, "fuse") }, "/mounts/0/type", Refused, ErrKernel, "fuse.sshfs"},
		{"proc covered", func(s *specs.Spec) {
			userns(s, 100000, 65536)
			s.Mounts = []specs.Mount{{Type: "proc", Destination: "/proc"}}
		}, func(f *Facts) { f.ProcCovered = true }, "/mounts/0", Refused, ErrPrivilege, "covered"},
		{"cgroup2 without v2", mounted(specs.Mount{Type: "cgroup2", Destination: "/data"}), func(f *Facts) { f.Control.Version = "v1" }, "/mounts/0/type", Refused, ErrAbsent, "v2"},
	}
}

func resourceRows() []row {
	with := func(r specs.LinuxResources) func(*specs.Spec) { return func(s *specs.Spec) { s.Linux.Resources = &r } }
	no := func(controller string) func(*Facts) {
		return func(f *Facts) { delete(f.Control.Controllers, controller) }
	}
	unknown := func(file string) func(*Facts) { return func(f *Facts) { delete(f.Control.Known, file) } }
	memory := func(m specs.LinuxMemory) func(*specs.Spec) { return with(specs.LinuxResources{Memory: &m}) }
	cpu := func(c specs.LinuxCPU) func(*specs.Spec) { return with(specs.LinuxResources{CPU: &c}) }
	limit := memory(specs.LinuxMemory{Limit: ptr(int64(1 << 20))})
	swap := memory(specs.LinuxMemory{Limit: ptr(int64(1 << 20)), Swap: ptr(int64(1 << 21))})
	block := func(b specs.LinuxBlockIO) func(*specs.Spec) { return with(specs.LinuxResources{BlockIO: &b}) }
	throttle := block(specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Rate: 1}}})
	huge := with(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}}})
	rdma := with(specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx0": {HcaHandles: ptr(uint32(1))}}})
	rules := with(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{}}})
	unified := with(specs.LinuxResources{Unified: map[string]string{"memory.low": "1"}})
	const at = "/linux/resources"
	return []row{
		{"no control groups", limit, func(f *Facts) { f.Control.Version = "none" }, at, Refused, ErrAbsent, "control groups"},
		{"no control groups, and no limits", func(*specs.Spec) {}, func(f *Facts) { f.Control.Version = "none" }, "/linux/cgroupsPath", Changed, ErrAbsent, "control groups"},
		{"no control groups to show", func(s *specs.Spec) {
			limit(s)
			s.Mounts = []specs.Mount{{Type: "cgroup", Destination: "/data"}}
		}, func(f *Facts) { f.Control.Version = "v1"; f.Control.Controllers = nil }, at + "/memory/limit", Refused, ErrOff, "memory"},
		{"no group may be made", limit, func(f *Facts) { f.Control.Writable = false }, at, Refused, ErrPrivilege, ""},
		{"no memory controller", limit, no("memory"), at + "/memory/limit", Refused, ErrOff, "memory"},
		{"no counting of swap", swap, unknown("memory.swap.max"), at + "/memory/swap", Refused, ErrOff, "swap"},
		{"reservation", memory(specs.LinuxMemory{Reservation: ptr(int64(1))}), unknown("memory.low"), at + "/memory/reservation", Refused, ErrKernel, "memory.low"},
		{"no cpu controller", cpu(specs.LinuxCPU{Shares: ptr(uint64(2)), Quota: ptr(int64(5000))}), no("cpu"), at + "/cpu/shares", Refused, ErrOff, "cpu"},
		{"no burst", cpu(specs.LinuxCPU{Burst: ptr(uint64(2))}), unknown("cpu.max.burst"), at + "/cpu/burst", Refused, ErrKernel, "cpu.max.burst"},
		{"no idle", cpu(specs.LinuxCPU{Idle: ptr(int64(1))}), unknown("cpu.idle"), at + "/cpu/idle", Refused, ErrKernel, "cpu.idle"},
		{"no such processors", cpu(specs.LinuxCPU{Cpus: "2-3"}), func(f *Facts) { f.Control.CPUs = []Range{{0, 1}} }, at + "/cpu/cpus", Refused, ErrAbsent, "2-3"},
		{"some processors", cpu(specs.LinuxCPU{Cpus: "1-3"}), func(f *Facts) { f.Control.CPUs = []Range{{0, 1}} }, at + "/cpu/cpus", Changed, ErrAbsent, "some"},
		{"some processors on v1", cpu(specs.LinuxCPU{Cpus: "1-3"}), func(f *Facts) {
			f.Control.CPUs, f.Control.Controllers["cpuset"] = []Range{{0, 1}}, 1
		}, at + "/cpu/cpus", Refused, ErrAbsent, "1-3"},
		{"no such memory", cpu(specs.LinuxCPU{Mems: "0"}), func(f *Facts) { f.Control.Mems = []Range{{1, 1}} }, at + "/cpu/mems", Refused, ErrAbsent, "mems 0"},
		{"no pids controller", with(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}}), no("pids"), at + "/pids/limit", Refused, ErrOff, "pids"},
		{"no io controller", throttle, no("io"), at + "/blockIO/throttleReadBpsDevice/0", Refused, ErrOff, "io"},
		{"no such disk", throttle, func(f *Facts) { f.Control.Disks["8:0"] = false }, at + "/blockIO/throttleReadBpsDevice/0", Refused, ErrAbsent, "8:0"},
		{"no weights", block(specs.LinuxBlockIO{Weight: ptr(uint16(100))}), unknown("io.weight"), at + "/blockIO/weight", Refused, ErrOff, "weights"},
		{"no hugetlb controller", huge, no("hugetlb"), at + "/hugepageLimits/0", Refused, ErrOff, "hugetlb"},
		{"no such pages", huge, func(f *Facts) { f.Control.PageSizes = []string{"64KB"} }, at + "/hugepageLimits/0/pageSize", Refused, ErrAbsent, "2MB"},
		{"no rdma controller", rdma, no("rdma"), at + "/rdma/mlx0", Refused, ErrOff, "rdma"},
		{"no such rdma device", rdma, func(f *Facts) { f.Control.RDMA["mlx0"] = false }, at + "/rdma/mlx0", Refused, ErrAbsent, "mlx0"},
		{"controller beside v1", huge, func(f *Facts) { f.Control.Version = "hybrid" }, at + "/hugepageLimits/0", Changed, ErrOff, "beside it"},
		{"unified on a hybrid machine", unified, func(f *Facts) { f.Control.Version = "hybrid" }, at + "/unified/memory.low", Refused, ErrOff, "hybrid"},
		{"unified without its controller", unified, no("memory"), at + "/unified/memory.low", Refused, ErrOff, "memory"},
		{"unified without its file", unified, unknown("memory.low"), at + "/unified/memory.low", Refused, ErrKernel, "memory.low"},
		{"device rules without filters", rules, func(f *Facts) { f.Control.Filter = false }, at + "/devices", Refused, ErrKernel, ""},
		{"device rules without privileges", rules, func(f *Facts) { f.InUserNamespace = true }, at + "/devices", Changed, ErrPrivilege, ""},
	}
}

func linuxRows() []row {
	profile := func(p specs.LinuxSeccomp) func(*specs.Spec) { return func(s *specs.Spec) { s.Linux.Seccomp = &p } }
	deny := profile(specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read", "reed"}, Action: specs.ActAllow}}})
	notify := profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/sock", Syscalls: []specs.LinuxSyscall{{Names: []string{"mount"}, Action: specs.ActNotify}}})
	notifies := func(f File) func(*Facts) { return func(facts *Facts) { facts.Files["/sock"] = f } }
	sysctl := func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} }
	fuse := func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
	}
	mapped := func(s *specs.Spec) { fuse(s); userns(s, 100000, 65536) }
	nic := func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {}} }
	policy := func(m specs.LinuxMemoryPolicy) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Linux.MemoryPolicy = &m }
	}
	nodes := policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"})
	rdt := func(s *specs.Spec) {
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=10", EnableMonitoring: true, Schemata: []string{"L3:0=1"}}
	}
	info := func(name string) func(*Facts) { return func(f *Facts) { delete(f.Resctrl.Info, name) } }
	return []row{
		{"no seccomp", deny, func(f *Facts) { f.SeccompMissing = true }, "/linux/seccomp", Refused, ErrKernel, "seccomp"},
		{"default action", deny, func(f *Facts) { delete(f.Actions, "errno") }, "/linux/seccomp/defaultAction", Refused, ErrKernel, "SCMP_ACT_ERRNO"},
		{"action", deny, func(f *Facts) { delete(f.Actions, "allow") }, "/linux/seccomp/syscalls/0/action", Refused, ErrKernel, "SCMP_ACT_ALLOW"},
		{"call that nobody knows", deny, func(f *Facts) { f.UnknownCalls = map[string]bool{"reed": true} }, "/linux/seccomp/syscalls/0/names/1", Changed, ErrNoEffect, "reed"},
		{"flag", profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}}), func(f *Facts) {
			f.FlagsRefused[specs.LinuxSeccompFlagLog] = true
		}, "/linux/seccomp/flags/0", Refused, ErrKernel, "FLAG_LOG"},
		{"architecture", profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64}}), func(f *Facts) {
			f.Arch = "arm64"
			f.Inside["/bin/sh"].Program.Machine = 183
		}, "/linux/seccomp/architectures/0", Changed, ErrNoEffect, "SCMP_ARCH_X86_64"},
		{"nobody listens", func(s *specs.Spec) { notify(s) }, func(f *Facts) { f.Files["/sock"] = File{Kind: Absent} }, "/linux/seccomp/listenerPath", Refused, ErrAbsent, "/sock"},
		{"a file listens", notify, notifies(File{Kind: Regular}), "/linux/seccomp/listenerPath", Refused, ErrKind, "/sock"},
		{"parameter", sysctl, func(f *Facts) { f.Sysctls["net.ipv4.ip_forward"] = false }, "/linux/sysctl/net.ipv4.ip_forward", Refused, ErrKernel, "ip_forward"},
		{"parameter of the host's namespace", func(s *specs.Spec) {
			sysctl(s)
			s.Linux.Namespaces[4].Path = "/ns/net"
		}, func(f *Facts) { f.Files["/ns/net"] = File{Kind: Namespace, Type: "network", Own: true} }, "/linux/sysctl/net.ipv4.ip_forward", Refused, ErrNamespaced, "/ns/net"},
		{"device nodes", fuse, func(f *Facts) { f.Effective &^= 1 << capMknod }, "/linux/devices/0", Refused, ErrPrivilege, "nodes"},
		{"no driver", fuse, func(f *Facts) { delete(f.Majors["c"], 10) }, "/linux/devices/0", Changed, ErrAbsent, "driver"},
		{"no node to show", mapped, func(f *Facts) { f.Files["/dev/fuse"] = File{Kind: Absent} }, "/linux/devices/0", Refused, ErrAbsent, "/dev/fuse"},
		{"another node", mapped, func(f *Facts) { f.Files["/dev/fuse"] = File{Kind: Char, Device: [2]uint32{1, 3}} }, "/linux/devices/0", Changed, ErrKind, "another device"},
		{"network device", nic, func(f *Facts) { f.Interfaces["eth1"] = false }, "/linux/netDevices/eth1", Refused, ErrAbsent, "eth1"},
		{"network device without privileges", nic, func(f *Facts) { f.Effective &^= 1 << capNetAdmin }, "/linux/netDevices/eth1", Refused, ErrPrivilege, "eth1"},
		{"no memory policies", nodes, func(f *Facts) { f.NUMAMissing = true }, "/linux/memoryPolicy", Refused, ErrKernel, "NUMA"},
		{"no such node", nodes, func(f *Facts) { f.Nodes = []Range{{1, 1}} }, "/linux/memoryPolicy/nodes", Refused, ErrAbsent, "nodes 0"},
		{"weighted interleave", policy(specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave, Nodes: "0"}), func(f *Facts) { f.Kernel = [2]int{6, 8} }, "/linux/memoryPolicy/mode", Refused, ErrKernel, "6.9"},
		{"preferred many", policy(specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}), func(f *Facts) { f.Kernel = [2]int{5, 14} }, "/linux/memoryPolicy/mode", Refused, ErrKernel, "5.15"},
		{"balancing", policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFNumaBalancing}}), func(f *Facts) {
			f.Kernel = [2]int{5, 11}
		}, "/linux/memoryPolicy/flags/0", Refused, ErrKernel, "5.12"},
		{"no RDT", rdt, func(f *Facts) { f.Resctrl = Resctrl{} }, "/linux/intelRdt", Refused, ErrKernel, "RDT"},
		{"resctrl not mounted", rdt, func(f *Facts) { f.Resctrl.Mounted = false }, "/linux/intelRdt", Refused, ErrOff, "mounted"},
		{"no bandwidth", rdt, info("MB"), "/linux/intelRdt/memBwSchema", Refused, ErrKernel, "MB"},
		{"no monitoring", rdt, info("L3_MON"), "/linux/intelRdt/enableMonitoring", Refused, ErrKernel, "L3_MON"},
		{"no such schema", func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{Schemata: []string{"L3:0=1"}} }, info("L3"), "/linux/intelRdt/schemata/0", Refused, ErrKernel, "L3"},
	}
}

func programRows() []row {
	none := func(*specs.Spec) {}
	program := func(f File) func(*Facts) { return func(facts *Facts) { facts.Inside["/bin/sh"] = f } }
	runs := func(p Program) func(*Facts) { return program(File{Kind: Regular, Mode: 0o755, Program: &p}) }
	hook := func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/hook"}}} }
	late := func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/hook"}}} }
	hooked := func(f File) func(*Facts) { return func(facts *Facts) { facts.Files["/hook"] = f } }
	const at = "/process/args/0"
	return []row{
		{"no program", none, func(f *Facts) {
			f.Inside["/bin/sh"], f.Inside["/usr/bin/sh"] = File{Kind: Absent}, File{Kind: Absent}
		}, at, Refused, ErrAbsent, `"sh"`},
		{"program that is a directory", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, program(File{Kind: Directory}), at, Refused, ErrKind, "directory"},
		{"program that is not executable", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, program(File{Kind: Regular, Mode: 0o644}), at, Refused, ErrKind, "not executable"},
		{"program of another machine", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, runs(Program{ELF: true, Bits: 64, Machine: 183}), at, Refused, ErrAbsent, "for arm64"},
		{"32-bit program", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, func(f *Facts) {
			runs(Program{ELF: true, Bits: 32, Machine: 3})(f)
			f.Compat32 = false
		}, at, Refused, ErrAbsent, "for 386"},
		{"no loader", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, func(f *Facts) {
			runs(Program{ELF: true, Bits: 64, Machine: 62, Loader: "/lib/ld"})(f)
			f.Inside["/lib/ld"] = File{Kind: Absent}
		}, at, Refused, ErrAbsent, "/lib/ld"},
		{"no interpreter", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, func(f *Facts) {
			runs(Program{Script: true, Loader: "/bin/perl"})(f)
			f.Inside["/bin/perl"] = File{Kind: Absent}
		}, at, Refused, ErrAbsent, "/bin/perl"},
		{"interpreter that is not executable", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, func(f *Facts) {
			runs(Program{Script: true, Loader: "/etc/f"})(f)
		}, at, Refused, ErrKind, "/etc/f"},
		{"interpreter of another machine", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, func(f *Facts) {
			runs(Program{Script: true, Loader: "/bin/perl"})(f)
			f.Inside["/bin/perl"] = File{Kind: Regular, Mode: 0o755, Program: &Program{ELF: true, Machine: 40, Bits: 32}}
		}, at, Refused, ErrAbsent, "for arm"},
		{"program of another user", func(s *specs.Spec) {
			s.Process.Args, s.Process.User.UID = []string{"/bin/sh"}, 1000
		}, program(File{Kind: Regular, Mode: 0o700}), at, Refused, ErrKind, "for user 1000 (mode 0700 of 0:0)"},
		{"program of another group", func(s *specs.Spec) {
			s.Process.Args, s.Process.User.UID, s.Process.User.GID = []string{"/bin/sh"}, 1000, 1000
		}, program(File{Kind: Regular, Mode: 0o755 &^ 0o010, Owner: [2]uint32{0, 1000}}), at, Refused, ErrKind, "for user 1000"},
		{"program of an id that is not mapped", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"}; userns(s, 100000, 10) }, program(File{Kind: Regular, Mode: 0o700}), at, Refused, ErrKind, "for user 0"},
		{"text", func(s *specs.Spec) { s.Process.Args = []string{"/bin/sh"} }, runs(Program{Head: []byte("hello")}), at, Refused, ErrKind, "no program"},
		{"no hook", hook, hooked(File{Kind: Absent}), "/hooks/createRuntime/0/path", Refused, ErrAbsent, "/hook"},
		{"hook that is not executable", hook, hooked(File{Kind: Regular, Mode: 0o644}), "/hooks/createRuntime/0/path", Refused, ErrKind, "/hook"},
		{"no hook at the end", late, hooked(File{Kind: Absent}), "/hooks/poststop/0/path", Changed, ErrAbsent, "/hook"},
		{"no hook in the container", func(s *specs.Spec) { s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh"}}} }, func(f *Facts) {
			f.Inside["/bin/sh"] = File{Kind: Absent}
			f.Inside["/usr/bin/sh"] = File{Kind: Regular, Mode: 0o755}
		}, "/hooks/startContainer/0/path", Refused, ErrAbsent, "/bin/sh"},
	}
}
