package convert

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// cpuPeriod is the period of the CPU quota in microseconds, the kernel's own default.
const cpuPeriod = 100_000

// resources sets the limits of the cgroup.
func (c *conversion) resources() error {
	l := c.spec.Linux
	l.CgroupsPath = c.o.CgroupsPath
	r := l.Resources
	var err error
	if r.Memory, r.CPU, r.Pids, err = c.askedLimits(); err != nil {
		return err
	}
	if !c.o.Rootless {
		return nil
	}
	if limited := r.Memory != nil || r.CPU != nil || r.Pids != nil; limited && c.o.CgroupsPath == "" {
		flag, value := c.firstLimit()
		return usage(flag, value, "without root this needs a cgroup that was delegated to the user")
	} else if !limited {
		l.Resources = nil
	}
	return nil
}

// askedLimits are those that flags set; nil is one that none does.
func (c *conversion) askedLimits() (memory *specs.LinuxMemory, cpu *specs.LinuxCPU, pids *specs.LinuxPids, err error) {
	if memory, err = c.memory(); err != nil {
		return nil, nil, nil, err
	}
	if cpu, err = c.cpu(); err != nil {
		return nil, nil, nil, err
	}
	pids, err = c.pids()
	return memory, cpu, pids, err
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

func (c *conversion) firstLimit() (flag, value string) {
	for _, f := range []struct{ flag, value string }{
		{"--memory", c.o.Memory}, {"--memory-reservation", c.o.MemoryReservation}, {"--cpus", c.o.CPUs}, {"--cpuset-cpus", c.o.CpusetCpus}, {"--cpuset-mems", c.o.CpusetMems},
	} {
		if f.value != "" {
			return f.flag, f.value
		}
	}
	if c.o.CPUShares != 0 {
		return "--cpu-shares", strconv.FormatUint(c.o.CPUShares, 10)
	}
	return "--pids-limit", strconv.FormatInt(c.o.PidsLimit, 10)
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

// limits sets the resource limits and the OOM score of the process.
func (c *conversion) limits() error {
	p := c.spec.Process
	for _, value := range c.o.Ulimits {
		l, err := parseUlimit(value)
		if err != nil {
			return err
		}
		p.Rlimits = slices.DeleteFunc(p.Rlimits, func(o specs.POSIXRlimit) bool { return o.Type == l.Type })
		p.Rlimits = append(p.Rlimits, l)
	}
	if n := c.o.OOMScoreAdj; n != nil {
		if *n < -1000 || *n > 1000 {
			return usage("--oom-score-adj", strconv.Itoa(*n), "want -1000 to 1000")
		}
		p.OOMScoreAdj = n
	}
	return nil
}

// parseUlimit takes NAME=SOFT[:HARD]; -1 and "unlimited" are no limit.
func parseUlimit(value string) (specs.POSIXRlimit, error) {
	name, limit, _ := strings.Cut(value, "=")
	name = strings.ToUpper(name)
	if !slices.Contains(bundle.Rlimits(), name) {
		return specs.POSIXRlimit{}, usage("--ulimit", value, "unknown limit %q", strings.ToLower(name))
	}
	soft, hard, ok := strings.Cut(limit, ":")
	if !ok {
		hard = soft
	}
	l := specs.POSIXRlimit{Type: "RLIMIT_" + name}
	var err1, err2 error
	l.Soft, err1 = parseLimit(soft)
	l.Hard, err2 = parseLimit(hard)
	if err := errors.Join(err1, err2); err != nil || l.Soft > l.Hard {
		return l, usage("--ulimit", value, "want NAME=SOFT[:HARD], SOFT at most HARD")
	}
	return l, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return math.MaxUint64, nil // RLIM_INFINITY
	}
	return strconv.ParseUint(s, 10, 63)
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
