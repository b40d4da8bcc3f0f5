package host

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const resourcesAt = "/linux/resources"

// resources judges limits by the controllers that there are and by the files that these have here.
func (j *judge) resources() {
	r := j.linux.Resources
	if j.Control.Version == "none" && (r == nil || !limited(*r)) {
		j.change("/linux/cgroupsPath", "mount cgroup2 at /sys/fs/cgroup, or tell the runtime to do without", ErrAbsent, "control groups (some runtimes refuse any container then)")
	}
	if r == nil || j.Control.Version == "" {
		return
	}
	if len(r.Devices) > 0 {
		j.deviceRules()
	}
	limits := *r
	limits.Devices = nil
	if !limited(limits) {
		return
	}
	if j.Control.Version == "none" {
		j.refuse(resourcesAt, "none, or mount cgroup2 at /sys/fs/cgroup", ErrAbsent, "control groups")
		return
	}
	if !j.Control.Writable {
		j.refuse(resourcesAt, "run as root, or in a group that systemd gives to the user (systemd-run --user --scope -p Delegate=yes)", ErrPrivilege, "making a control group")
		return
	}
	j.memory(r.Memory)
	j.cpu(r.CPU)
	if r.Pids != nil && r.Pids.Limit != nil {
		j.controller("pids", "/pids/limit", "pids.max", "pids.max")
	}
	j.blockIO(r.BlockIO)
	for i, l := range r.HugepageLimits {
		pointer := "/hugepageLimits/" + strconv.Itoa(i)
		if j.controller("hugetlb", pointer, "", "") && j.Control.PageSizes != nil && !slices.Contains(j.Control.PageSizes, l.Pagesize) {
			j.refuse(resourcesAt+pointer+"/pageSize", "one of "+strings.Join(j.Control.PageSizes, ", "), ErrAbsent, "huge pages of %s", l.Pagesize)
		}
	}
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		pointer := "/rdma/" + spec.EscapeToken(device)
		if j.controller("rdma", pointer, "", "") && j.Control.RDMA != nil && !j.Control.RDMA[device] {
			j.refuse(resourcesAt+pointer, "a device of /sys/class/infiniband", ErrAbsent, "the RDMA device %q", device)
		}
	}
	j.network(r.Network)
	j.unified(r.Unified)
}

// limited tells whether a limit is asked for, and not only the section there.
func limited(r specs.LinuxResources) bool {
	return r.Memory != nil || r.CPU != nil || r.Pids != nil || r.BlockIO != nil || r.Network != nil ||
		len(r.HugepageLimits)+len(r.Rdma)+len(r.Unified) > 0
}

// controller asks for a controller, and for its file of the version in which it is here; "" for a file that need not be asked for, "-" for
// one that the version does not have. It tells whether both are there.
func (j *judge) controller(name, pointer, v1, v2 string) bool {
	file, version := v1, j.Control.Controllers[name]
	switch version {
	case 0:
		j.refuse(resourcesAt+pointer, "leave it out, or switch the controller on (cgroup_enable=, cgroup.subtree_control)", ErrOff, "the controller %s", name)
		return false
	case 2:
		file = v2
		if j.Control.Version == "hybrid" {
			j.change(resourcesAt+pointer, "boot with cgroup v2 alone", ErrOff, "the controller %s in cgroup v1 (it is in cgroup2 beside it, where not all runtimes look)", name)
		}
	}
	switch {
	case file == "-":
		j.refuse(resourcesAt+pointer, "leave it out", ErrKernel, "such a limit in control groups v%d", version)
	case file != "" && !j.Control.Known[file] && j.Control.Seen[name]:
		j.refuse(resourcesAt+pointer, "leave it out", ErrKernel, "%s of control groups", file)
	default:
		return true
	}
	return false
}

func nonzero(n *int64) bool { return n != nil && *n != 0 }

func positive(n *uint64) bool { return n != nil && *n != 0 }

func (j *judge) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	const c = "memory"
	for _, f := range []struct {
		name, v1, v2 string
		set          bool
	}{
		{"limit", "memory.limit_in_bytes", "memory.max", nonzero(m.Limit)},
		{"reservation", "memory.soft_limit_in_bytes", "memory.low", nonzero(m.Reservation)},
		{"kernelTCP", "memory.kmem.tcp.limit_in_bytes", "-", nonzero(m.KernelTCP)},
		{"swappiness", "memory.swappiness", "-", m.Swappiness != nil},
		{"disableOOMKiller", "memory.oom_control", "-", m.DisableOOMKiller != nil && *m.DisableOOMKiller},
	} {
		if f.set && !j.controller(c, "/memory/"+f.name, f.v1, f.v2) && j.Control.Controllers[c] == 0 {
			return // one line is enough
		}
	}
	if !nonzero(m.Swap) || *m.Swap < 0 || j.Control.Controllers[c] == 2 && m.Limit != nil && *m.Swap == *m.Limit {
		return // no limit, or no swap at all: nothing to count
	}
	file := map[int]string{1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}[j.Control.Controllers[c]]
	if file != "" && !j.Control.Known[file] && j.Control.Seen[c] {
		j.refuse(resourcesAt+"/memory/swap", "leave it out, or boot with swapaccount=1", ErrOff, "counting swap (%s)", file)
	} else if file == "" {
		j.controller(c, "/memory/swap", "", "")
	}
}

func (j *judge) cpu(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	for _, f := range []struct {
		name, v1, v2 string
		set          bool
	}{
		{"shares", "cpu.shares", "cpu.weight", positive(c.Shares)},
		{"quota", "cpu.cfs_quota_us", "cpu.max", nonzero(c.Quota)},
		{"period", "cpu.cfs_period_us", "cpu.max", positive(c.Period)},
		{"burst", "cpu.cfs_burst_us", "cpu.max.burst", c.Burst != nil},
		{"idle", "cpu.idle", "cpu.idle", c.Idle != nil},
		{"realtimeRuntime", "cpu.rt_runtime_us", "-", nonzero(c.RealtimeRuntime)},
		{"realtimePeriod", "cpu.rt_period_us", "-", positive(c.RealtimePeriod)},
	} {
		if f.set && !j.controller("cpu", "/cpu/"+f.name, f.v1, f.v2) && j.Control.Controllers["cpu"] == 0 {
			break
		}
	}
	for _, l := range []struct {
		name, list   string
		have, online []Range
	}{{"cpus", c.Cpus, j.Control.CPUs, j.CPUs}, {"mems", c.Mems, j.Control.Mems, j.Nodes}} {
		if l.list == "" || !j.controller("cpuset", "/cpu/"+l.name, "", "") {
			continue
		}
		have := l.have
		if have == nil {
			have = l.online
		}
		some, all := numbered(l.list, have)
		switch {
		case !all && (j.Control.Controllers["cpuset"] == 1 || !some):
			j.refuse(resourcesAt+"/cpu/"+l.name, "of "+ranges(have), ErrAbsent, "%s %s", l.name, l.list)
		case !all:
			j.change(resourcesAt+"/cpu/"+l.name, "of "+ranges(have), ErrAbsent, "some of %s %s", l.name, l.list)
		}
	}
}

func (j *judge) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	name, known := "io", j.Control.Controllers["blkio"] == 1
	if known {
		name = "blkio"
	}
	if b.Weight != nil && *b.Weight != 0 {
		j.weight(name, "/blockIO/weight", "")
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 && j.controller(name, "/blockIO/leafWeight", "", "-") && !j.Control.Known["blkio.leaf_weight"] {
		j.refuse(resourcesAt+"/blockIO/leafWeight", "leave it out", ErrKernel, "blkio.leaf_weight, which went with CFQ in Linux 5.0")
	}
	for i, d := range b.WeightDevice {
		pointer := "/blockIO/weightDevice/" + strconv.Itoa(i)
		if j.weight(name, pointer, "_device") {
			j.blockDevice(pointer, d.Major, d.Minor)
		}
	}
	for _, t := range []struct {
		name, v1 string
		list     []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range t.list {
			pointer := "/blockIO/" + t.name + "/" + strconv.Itoa(i)
			if j.controller(name, pointer, t.v1, "io.max") {
				j.blockDevice(pointer, d.Major, d.Minor)
			}
		}
	}
}

// weight asks for a scheduler that knows weights: BFQ, or on v2 iocost.
func (j *judge) weight(controller, pointer, suffix string) bool {
	if !j.controller(controller, pointer, "", "") {
		return false
	}
	files := []string{"io.bfq.weight", "io.weight"}
	if controller == "blkio" {
		files = []string{"blkio.bfq.weight" + suffix, "blkio.weight" + suffix}
	}
	if !j.Control.Seen[controller] || slices.ContainsFunc(files, func(f string) bool { return j.Control.Known[f] }) {
		return true
	}
	j.refuse(resourcesAt+pointer, "a limit of bytes or operations (throttle...), or the I/O scheduler BFQ", ErrOff, "weights of block I/O (%s)", strings.Join(files, " or "))
	return false
}

func (j *judge) blockDevice(pointer string, major, minor int64) {
	number := strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
	if there, known := j.Control.Disks[number]; known && !there {
		j.refuse(resourcesAt+pointer, "a device of /sys/dev/block", ErrAbsent, "the block device %s", number)
	}
}

func (j *judge) network(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	if n.ClassID != nil {
		j.controller("net_cls", "/network/classID", "", "-")
	}
	for i, p := range n.Priorities {
		pointer := "/network/priorities/" + strconv.Itoa(i)
		if there, known := j.Interfaces[p.Name]; j.controller("net_prio", pointer, "", "-") && known && !there {
			j.refuse(resourcesAt+pointer+"/name", "a device of /sys/class/net", ErrAbsent, "the network device %q", p.Name)
		}
	}
}

// unified judges the files that are to be written as they stand, which there are on a machine with v2 alone.
func (j *judge) unified(files map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		pointer := resourcesAt + "/unified/" + spec.EscapeToken(name)
		c, _, _ := strings.Cut(name, ".")
		switch {
		case j.Control.Version != "v2":
			j.refuse(pointer, "the property for it that both versions have", ErrOff, "control groups v2 (this machine has %s)", j.Control.Version)
		case c != "cgroup" && j.Control.Controllers[c] != 2:
			j.refuse(pointer, "leave it out", ErrOff, "the controller %s", c)
		case !j.Control.Known[name] && j.Control.Seen[c] && !strings.HasPrefix(name, "hugetlb."):
			j.refuse(pointer, "leave it out", ErrKernel, "the file %s", name)
		}
	}
}

// deviceRules judges whether rules for devices can be kept.
func (j *judge) deviceRules() {
	const pointer = resourcesAt + "/devices"
	switch {
	case j.InUserNamespace || !j.holds(capSysAdmin):
		j.change(pointer, "none: devices that the caller may not use are out of reach anyway", ErrPrivilege, "rules for devices")
	case j.Control.Controllers["devices"] == 1:
	case j.Control.Version == "none":
		j.refuse(pointer, "none", ErrAbsent, "control groups, for rules for devices")
	case j.Control.Version == "v1" || !j.Control.Filter:
		j.refuse(pointer, "none, or a kernel with CONFIG_CGROUP_BPF", ErrKernel, "rules for devices")
	}
}
