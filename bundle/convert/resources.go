package convert

import (
	"cmp"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cpuPeriod is the period of the CPU quota in microseconds, the kernel's own default.
const cpuPeriod = 100_000

// resources sets the limits of the cgroup.
func (c *conversion) resources() error {
	l := c.spec.Linux
	if err := c.cgroupsPath(); err != nil {
		return err
	}
	asked, err := c.askedLimits()
	if err != nil {
		return err
	}
	if c.o.Rootless {
		if asked == nil {
			l.Resources = nil
			return nil
		}
		if l.CgroupsPath == "" {
			f := c.o.limitFlags()[0]
			return usage(f.flag, f.value, "without root this needs a cgroup that was delegated to the user")
		}
	}
	if asked != nil {
		asked.Devices = l.Resources.Devices
		l.Resources = asked
	}
	return nil
}

// cgroupsPath is that of --cgroups-path, or the container's name below --cgroup-parent.
func (c *conversion) cgroupsPath() error {
	l, parent := c.spec.Linux, c.o.CgroupParent
	switch {
	case parent == "":
		l.CgroupsPath = cmp.Or(c.o.CgroupsPath, l.CgroupsPath)
		return nil
	case c.o.CgroupsPath != "":
		return usage("--cgroup-parent", parent, "--cgroups-path names the whole path already")
	case strings.HasSuffix(parent, ".slice"):
		return usage("--cgroup-parent", parent, "a slice is systemd's, and this is for cgroupfs: want a path")
	case c.o.ContainerID == "":
		return usage("--cgroup-parent", parent, "the container has no ID yet to have a group by: give the whole path with --cgroups-path")
	case strings.ContainsRune(parent, 0) || slices.Contains(strings.Split(parent, "/"), ".."):
		return usage("--cgroup-parent", parent, "not a path of a cgroup")
	}
	l.CgroupsPath = path.Join(parent, c.o.ContainerID)
	return nil
}

// limitFlag is a flag that was given and limits a cgroup.
type limitFlag struct {
	flag, value string
	pointers    []string // below /linux/resources: what it sets
}

// limitFlags are those that were given.
func (o *Options) limitFlags() []limitFlag {
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	swappiness, noKiller := "", ""
	if o.MemorySwappiness != nil {
		swappiness = strconv.FormatInt(*o.MemorySwappiness, 10)
	}
	if o.OOMKillDisable {
		noKiller = "true"
	}
	all := []limitFlag{
		{"--memory", o.Memory, []string{"memory/limit", "memory/swap"}},
		{"--memory-reservation", o.MemoryReservation, []string{"memory/reservation"}},
		{"--memory-swap", o.MemorySwap, []string{"memory/swap"}},
		{"--memory-swappiness", swappiness, []string{"memory/swappiness"}},
		{"--oom-kill-disable", noKiller, []string{"memory/disableOOMKiller"}},
		{"--cpus", o.CPUs, []string{"cpu/quota", "cpu/period"}},
		{"--cpu-shares", number(int64(o.CPUShares)), []string{"cpu/shares"}},
		{"--cpu-period", number(int64(o.CPUPeriod)), []string{"cpu/period"}},
		{"--cpu-quota", number(o.CPUQuota), []string{"cpu/quota"}},
		{"--cpu-rt-period", number(int64(o.CPURTPeriod)), []string{"cpu/realtimePeriod"}},
		{"--cpu-rt-runtime", number(o.CPURTRuntime), []string{"cpu/realtimeRuntime"}},
		{"--cpuset-cpus", o.CpusetCpus, []string{"cpu/cpus"}},
		{"--cpuset-mems", o.CpusetMems, []string{"cpu/mems"}},
		{"--pids-limit", number(max(o.PidsLimit, 0)), []string{"pids"}},
		{"--blkio-weight", number(int64(o.BlkioWeight)), []string{"blockIO/weight"}},
		{"--blkio-weight-device", strings.Join(o.BlkioWeightDevices, " "), []string{"blockIO/weightDevice"}},
		{"--device-read-bps", strings.Join(o.DeviceReadBps, " "), []string{"blockIO/throttleReadBpsDevice"}},
		{"--device-write-bps", strings.Join(o.DeviceWriteBps, " "), []string{"blockIO/throttleWriteBpsDevice"}},
		{"--device-read-iops", strings.Join(o.DeviceReadIOps, " "), []string{"blockIO/throttleReadIOPSDevice"}},
		{"--device-write-iops", strings.Join(o.DeviceWriteIOps, " "), []string{"blockIO/throttleWriteIOPSDevice"}},
		{"--cgroup-conf", strings.Join(o.CgroupConf, " "), []string{"unified"}},
	}
	return slices.DeleteFunc(all, func(f limitFlag) bool { return f.value == "" })
}

// askedLimits are those that flags set; nil if none does.
func (c *conversion) askedLimits() (*specs.LinuxResources, error) {
	var r specs.LinuxResources
	var err error
	if r.Memory, err = c.memory(); err != nil {
		return nil, err
	}
	if r.CPU, err = c.cpu(); err != nil {
		return nil, err
	}
	if r.Pids, err = c.pids(); err != nil {
		return nil, err
	}
	if r.BlockIO, err = c.blockIO(); err != nil {
		return nil, err
	}
	if r.Unified, err = c.unified(); err != nil {
		return nil, err
	}
	if reflect.ValueOf(r).IsZero() {
		return nil, nil
	}
	return &r, nil
}

func (c *conversion) pids() (*specs.LinuxPids, error) {
	n := c.o.PidsLimit
	switch {
	case n > 0:
		return &specs.LinuxPids{Limit: &n}, nil
	case n < -1:
		return nil, usage("--pids-limit", strconv.FormatInt(n, 10), "want a number above 0, or -1")
	}
	return nil, nil
}

// unified are files of cgroup v2 as they stand.
func (c *conversion) unified() (map[string]string, error) {
	var files map[string]string
	for _, conf := range c.o.CgroupConf {
		name, value, ok := strings.Cut(conf, "=")
		if controller, file, dot := strings.Cut(name, "."); !ok || !dot || controller == "" || file == "" || strings.ContainsAny(conf, "\x00") || strings.Contains(name, "/") {
			return nil, usage("--cgroup-conf", conf, "want FILE=value, with the name of a file of cgroup v2, such as memory.high=1073741824")
		}
		if files == nil {
			files = make(map[string]string)
		}
		files[name] = value
	}
	return files, nil
}

// minMemory is the least memory limit that is accepted: one page less than nothing useful.
const minMemory = 512 << 10

// memory follows Docker: swap unset is as much again as memory, where swap can be limited.
func (c *conversion) memory() (*specs.LinuxMemory, error) {
	var m specs.LinuxMemory
	if c.o.Memory != "" {
		n, err := parseSize(c.o.Memory)
		if err != nil || n < minMemory {
			return nil, usage("--memory", c.o.Memory, "want a size of at least 512k, such as 512m")
		}
		m.Limit = &n
	}
	if v := c.o.MemoryReservation; v != "" {
		n, err := parseSize(v)
		if err != nil || n <= 0 || m.Limit != nil && n > *m.Limit {
			return nil, usage("--memory-reservation", v, "want a size, at most that of --memory")
		}
		m.Reservation = &n
	}
	switch v := c.o.MemorySwap; {
	case v == "":
		if m.Limit != nil && c.host.SwapLimit && *m.Limit <= math.MaxInt64/2 {
			n := 2 * *m.Limit
			m.Swap = &n
		}
	case m.Limit == nil:
		return nil, usage("--memory-swap", v, "needs --memory")
	case v == "-1":
		n := int64(-1)
		m.Swap = &n
	default:
		n, err := parseSize(v)
		if err != nil || n < *m.Limit {
			return nil, usage("--memory-swap", v, "want a size, at least that of --memory, or -1")
		}
		m.Swap = &n
	}
	if v := c.o.MemorySwappiness; v != nil && *v != -1 {
		if *v < 0 || *v > 100 {
			return nil, usage("--memory-swappiness", strconv.FormatInt(*v, 10), "want 0 to 100, or -1")
		}
		n := uint64(*v)
		m.Swappiness = &n
	}
	if c.o.OOMKillDisable {
		m.DisableOOMKiller = &c.o.OOMKillDisable
	}
	if m == (specs.LinuxMemory{}) {
		return nil, nil
	}
	return &m, nil
}

func (c *conversion) cpu() (*specs.LinuxCPU, error) {
	var cpu specs.LinuxCPU
	if v := c.o.CPUs; v != "" {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || !(n >= 0.01 && n <= 1<<20) { // the kernel's least quota is 1 ms
			return nil, usage("--cpus", v, "want a number of at least 0.01, such as 1.5")
		}
		quota, period := int64(math.Round(n*cpuPeriod)), uint64(cpuPeriod)
		cpu.Quota, cpu.Period = &quota, &period
	}
	if err := c.cpuTime(&cpu); err != nil {
		return nil, err
	}
	if n := c.o.CPUShares; n != 0 {
		if n < 2 || n > 1<<18 {
			return nil, usage("--cpu-shares", strconv.FormatUint(n, 10), "want 2 to 262144")
		}
		cpu.Shares = &n
	}
	for _, set := range []struct {
		flag, value string
		field       *string
	}{{"--cpuset-cpus", c.o.CpusetCpus, &cpu.Cpus}, {"--cpuset-mems", c.o.CpusetMems, &cpu.Mems}} {
		if set.value != "" && !isList(set.value) {
			return nil, usage(set.flag, set.value, "want a list such as 0-3,5")
		}
		*set.field = set.value
	}
	if cpu == (specs.LinuxCPU{}) {
		return nil, nil
	}
	return &cpu, nil
}

// cpuTime sets quota and period as they are given, and those for tasks of real time.
func (c *conversion) cpuTime(cpu *specs.LinuxCPU) error {
	if p := c.o.CPUPeriod; p != 0 {
		if p < 1000 || p > 1_000_000 { // the kernel's bounds (sched-bwc)
			return usage("--cpu-period", strconv.FormatUint(p, 10), "want 1000 to 1000000 microseconds")
		}
		if cpu.Quota != nil {
			return usage("--cpu-period", strconv.FormatUint(p, 10), "--cpus sets the period already")
		}
		cpu.Period = &p
	}
	if q := c.o.CPUQuota; q != 0 {
		switch {
		case q < -1 || q > 0 && q < 1000:
			return usage("--cpu-quota", strconv.FormatInt(q, 10), "want at least 1000 microseconds, or -1")
		case c.o.CPUs != "":
			return usage("--cpu-quota", strconv.FormatInt(q, 10), "--cpus sets the quota already")
		}
		cpu.Quota = &q
	}
	if p := c.o.CPURTPeriod; p != 0 {
		if p > 1_000_000 {
			return usage("--cpu-rt-period", strconv.FormatUint(p, 10), "want at most 1000000 microseconds")
		}
		cpu.RealtimePeriod = &p
	}
	if n := c.o.CPURTRuntime; n != 0 {
		if n < 0 || c.o.CPURTPeriod != 0 && uint64(n) > c.o.CPURTPeriod {
			return usage("--cpu-rt-runtime", strconv.FormatInt(n, 10), "want at most the period, in microseconds")
		}
		cpu.RealtimeRuntime = &n
	}
	return nil
}

// isList reports whether s is a list of numbers and ranges (cpuset(7), "List format").
func isList(s string) bool {
	for item := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(item, "-")
		if !isRange {
			high = low
		}
		l, err1 := strconv.ParseUint(low, 10, 16)
		h, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || l > h {
			return false
		}
	}
	return true
}

// parseSize reads bytes, with a suffix of b, k, m, g, t (powers of 1024) if there is one: "512m",
// "1.5g", "64MiB".
func parseSize(s string) (int64, error) {
	number := strings.ToLower(s)
	number = strings.TrimSuffix(number, "b")
	number = strings.TrimSuffix(number, "i")
	shift := 0
	if n := len(number); n > 0 {
		if i := strings.IndexByte("kmgt", number[n-1]); i >= 0 {
			shift, number = 10*(i+1), number[:n-1]
		}
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	n *= float64(int64(1) << shift)
	if n >= math.MaxInt64 {
		return 0, strconv.ErrRange
	}
	return int64(n), nil
}
