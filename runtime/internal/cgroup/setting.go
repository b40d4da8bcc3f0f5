package cgroup

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// setting is one write to one file of a group: what the limits of config.json come down to.
type setting struct {
	controller string // on v1 the name of the hierarchy
	v2         bool   // the file is one of cgroup2
	file       string
	value      string
	pointer    string // below /linux/resources

	// optional: the value is what holds without the file, so the file may be missing.
	optional bool
	// settle: whether the value is taken depends on the values of neighbours that are settled too:
	// those that are refused are written again after the others.
	settle bool
	// other is written instead where the file is missing.
	other *setting
	// guard is a file with a usage above which the value is refused, for the number limit.
	guard string
	limit int64
	// keepQuota: value is a period, for which the file wants the quota before it, as it is now.
	keepQuota bool
}

// where says which version has a controller: 1, 2, or 0 for none. cgroup2 is asked only when it is used.
type where func(controller string) int

// settings gives the writes for the limits in r, without device rules, in the order in which they
// are made. It is pure: whether the kernel takes them is seen when they are written.
func settings(r *specs.LinuxResources, has where) ([]setting, error) {
	b := builder{has: has}
	if r.Memory != nil {
		b.memory(r.Memory)
	}
	if r.CPU != nil {
		b.cpu(r.CPU)
		b.cpuset(r.CPU)
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		b.pids(*r.Pids.Limit)
	}
	if r.BlockIO != nil {
		b.blockIO(r.BlockIO)
	}
	for i, l := range r.HugepageLimits {
		b.hugepage(i, l)
	}
	b.rdma(r.Rdma)
	if r.Network != nil {
		b.network(r.Network)
	}
	b.unified(r.Unified)
	return b.list, b.err
}

type builder struct {
	has  where
	list []setting
	err  error
}

func (b *builder) fail(pointer string, clause spec.Clause, err error) {
	if b.err == nil {
		b.err = &Error{Op: "set limit", Subject: pointerRoot + pointer, Clause: clause, Err: err}
	}
}

const pointerRoot = "/linux/resources"

// version is 1 or 2 for a controller, and an error if it is not there.
func (b *builder) version(controller, pointer string) int {
	v := b.has(controller)
	if v == 0 {
		b.fail(pointer, spec.Clause{}, fmt.Errorf("%s: %w", controller, ErrController))
	}
	return v
}

// only1 reports what cgroup2 has no equivalent for, and says whether it can be set.
func (b *builder) only1(controller, pointer string) bool {
	switch b.version(controller, pointer) {
	case 1:
		return true
	case 2:
		b.fail(pointer, spec.RuntimeConversion, ErrVersion)
	}
	return false
}

func (b *builder) put(controller, file, value, pointer string) *setting {
	b.list = append(b.list, setting{
		controller: controller, v2: b.has(controller) == 2, file: file, value: value, pointer: pointerRoot + pointer,
	})
	return &b.list[len(b.list)-1]
}

// set gives what a number asks for: nil and 0 are "not set", as engines use them.
func set(n *int64) (int64, bool) {
	if n == nil || *n == 0 {
		return 0, false
	}
	return *n, true
}

// bytes writes a number of bytes for v1, where -1 is "no limit".
func bytes(n int64) string { return strconv.FormatInt(max(n, -1), 10) }

// most writes a number for v2, where "max" is "no limit".
func most(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

func (b *builder) memory(m *specs.LinuxMemory) {
	const c = "memory"
	limit, limited := set(m.Limit)
	swap, swapped := set(m.Swap)
	if limit == -1 && !swapped {
		// A limit that is lifted is lifted for memory and swap together.
		swap, swapped = -1, true
	}
	reservation, reserved := set(m.Reservation)
	if (limited || swapped || reserved) && b.version(c, "/memory") == 2 {
		b.memory2(m, limit, swap, limited, swapped)
	} else if limited || swapped || reserved {
		if limited {
			s := b.put(c, "memory.limit_in_bytes", bytes(limit), "/memory/limit")
			s.settle = true
			b.guard(s, m, "memory.usage_in_bytes", limit)
		}
		if swapped {
			s := b.put(c, "memory.memsw.limit_in_bytes", bytes(swap), "/memory/swap")
			s.settle, s.optional = true, swap < 0
		}
		if reserved {
			b.put(c, "memory.soft_limit_in_bytes", bytes(reservation), "/memory/reservation")
		}
	}
	if reserved && b.has(c) == 2 {
		b.put(c, "memory.low", most(reservation), "/memory/reservation")
	}
	if tcp, ok := set(m.KernelTCP); ok && b.only1(c, "/memory/kernelTCP") {
		b.put(c, "memory.kmem.tcp.limit_in_bytes", bytes(tcp), "/memory/kernelTCP")
	}
	if m.Swappiness != nil && b.only1(c, "/memory/swappiness") {
		if *m.Swappiness > 100 {
			b.fail("/memory/swappiness", spec.Clause{}, ErrValue)
		}
		b.put(c, "memory.swappiness", strconv.FormatUint(*m.Swappiness, 10), "/memory/swappiness")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller && b.only1(c, "/memory/disableOOMKiller") {
		b.put(c, "memory.oom_control", "1", "/memory/disableOOMKiller")
	}
}

// memory2 converts limit and memory+swap of v1 to memory and swap of v2.
func (b *builder) memory2(m *specs.LinuxMemory, limit, swap int64, limited, swapped bool) {
	if swapped {
		s := b.put("memory", "memory.swap.max", "max", "/memory/swap")
		switch {
		case swap < 0:
			s.optional = true
		case limit <= 0 || swap < limit:
			// memory+swap without memory is nothing that v2 knows.
			b.fail("/memory/swap", spec.RuntimeConversion, fmt.Errorf("%w: memory+swap is %d, memory %d", ErrValue, swap, limit))
		default:
			s.value = strconv.FormatInt(swap-limit, 10)
			s.optional = swap == limit // a kernel without swap has no swap to limit
		}
	}
	if limited {
		s := b.put("memory", "memory.max", most(limit), "/memory/limit")
		b.guard(s, m, "memory.current", limit)
	}
}

func (b *builder) guard(s *setting, m *specs.LinuxMemory, file string, limit int64) {
	if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate && limit > 0 {
		s.guard, s.limit = file, limit
	}
}

func (b *builder) cpu(c *specs.LinuxCPU) {
	shares := c.Shares != nil && *c.Shares != 0
	quota, limited := set(c.Quota)
	period := c.Period != nil && *c.Period != 0
	realtime := c.RealtimePeriod != nil && *c.RealtimePeriod != 0 || c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0
	if !shares && !limited && !period && !realtime && c.Burst == nil && c.Idle == nil {
		return
	}
	v2 := b.version("cpu", "/cpu") == 2
	if shares {
		if v2 {
			b.put("cpu", "cpu.weight", strconv.FormatUint(weight(*c.Shares), 10), "/cpu/shares").settle = true
		} else {
			b.put("cpu", "cpu.shares", strconv.FormatUint(*c.Shares, 10), "/cpu/shares").settle = true
		}
	}
	if c.Idle != nil {
		b.put("cpu", "cpu.idle", strconv.FormatInt(*c.Idle, 10), "/cpu/idle").settle = true
	}
	if v2 {
		b.cpuMax(c, quota, limited, period)
	} else {
		if period {
			b.put("cpu", "cpu.cfs_period_us", strconv.FormatUint(*c.Period, 10), "/cpu/period").settle = true
		}
		if limited {
			b.put("cpu", "cpu.cfs_quota_us", bytes(quota), "/cpu/quota").settle = true
		}
		if c.Burst != nil {
			b.put("cpu", "cpu.cfs_burst_us", strconv.FormatUint(*c.Burst, 10), "/cpu/burst").settle = true
		}
	}
	if realtime && b.only1("cpu", "/cpu/realtimeRuntime") {
		if p := c.RealtimePeriod; p != nil && *p != 0 {
			b.put("cpu", "cpu.rt_period_us", strconv.FormatUint(*p, 10), "/cpu/realtimePeriod").settle = true
		}
		if n := c.RealtimeRuntime; n != nil && *n != 0 {
			b.put("cpu", "cpu.rt_runtime_us", strconv.FormatInt(*n, 10), "/cpu/realtimeRuntime").settle = true
		}
	}
}

// cpuMax writes quota and period of v2, which are one file.
func (b *builder) cpuMax(c *specs.LinuxCPU, quota int64, limited, period bool) {
	switch {
	case limited && period:
		b.put("cpu", "cpu.max", most(quota)+" "+strconv.FormatUint(*c.Period, 10), "/cpu/quota").settle = true
	case limited: // the kernel keeps the period
		b.put("cpu", "cpu.max", most(quota), "/cpu/quota").settle = true
	case period:
		s := b.put("cpu", "cpu.max", strconv.FormatUint(*c.Period, 10), "/cpu/period")
		s.settle, s.keepQuota = true, true
	}
	if c.Burst != nil {
		b.put("cpu", "cpu.max.burst", strconv.FormatUint(*c.Burst, 10), "/cpu/burst").settle = true
	}
}

// weight converts cpu.shares, 2 to 262144, to cpu.weight, 1 to 10000, by the curve that runc and
// crun use since 2025: it meets both ends and the defaults, 1024 and 100. The straight line used
// before gave a container with default shares 39.
func weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func (b *builder) cpuset(c *specs.LinuxCPU) {
	for _, f := range [...][2]string{{"cpus", c.Cpus}, {"mems", c.Mems}} {
		if f[1] != "" && b.version("cpuset", "/cpu/"+f[0]) != 0 {
			b.put("cpuset", "cpuset."+f[0], f[1], "/cpu/"+f[0])
		}
	}
}

// pids writes the limit as it stands: 0 is a limit, and -1 none.
func (b *builder) pids(limit int64) {
	if b.version("pids", "/pids/limit") != 0 {
		b.put("pids", "pids.max", most(limit), "/pids/limit").optional = limit < 0
	}
}

func (b *builder) hugepage(i int, l specs.LinuxHugepageLimit) {
	pointer := "/hugepageLimits/" + strconv.Itoa(i)
	if !pageSize(l.Pagesize) {
		b.fail(pointer+"/pageSize", spec.Clause{}, fmt.Errorf("%w: %q", ErrValue, l.Pagesize))
		return
	}
	name := "limit_in_bytes"
	switch b.version("hugetlb", pointer) {
	case 0:
		return
	case 2:
		name = "max"
	}
	value := strconv.FormatUint(l.Limit, 10)
	b.put("hugetlb", "hugetlb."+l.Pagesize+"."+name, value, pointer)
	// Reservations can be limited since Linux 5.7.
	b.put("hugetlb", "hugetlb."+l.Pagesize+".rsvd."+name, value, pointer).optional = true
}

// pageSize accepts "64KB", "2MB", "1GB": it becomes a part of a file name.
func pageSize(s string) bool {
	n := strings.TrimRight(strings.TrimSuffix(s, "B"), "KMGT")
	_, err := strconv.ParseUint(n, 10, 32)
	return err == nil && strings.HasSuffix(s, "B") && len(s)-len(n) <= 2
}

func (b *builder) rdma(limits map[string]specs.LinuxRdma) {
	for _, device := range sorted(limits) {
		pointer := "/rdma/" + device
		l := limits[device]
		if l.HcaHandles == nil && l.HcaObjects == nil || device == "" || strings.ContainsAny(device, " \n\t") {
			b.fail(pointer, spec.RuntimeRdmaEntry, ErrValue)
			continue
		}
		value := device
		if l.HcaHandles != nil {
			value += " hca_handle=" + strconv.FormatUint(uint64(*l.HcaHandles), 10)
		}
		if l.HcaObjects != nil {
			value += " hca_object=" + strconv.FormatUint(uint64(*l.HcaObjects), 10)
		}
		if b.version("rdma", pointer) != 0 {
			b.put("rdma", "rdma.max", value, pointer)
		}
	}
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (b *builder) network(n *specs.LinuxNetwork) {
	if n.ClassID != nil && b.only1("net_cls", "/network/classID") {
		b.put("net_cls", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10), "/network/classID")
	}
	for i, p := range n.Priorities {
		pointer := "/network/priorities/" + strconv.Itoa(i)
		if strings.ContainsAny(p.Name, " \n\t") || p.Name == "" {
			b.fail(pointer, spec.Clause{}, ErrValue)
		} else if b.only1("net_prio", pointer) {
			b.put("net_prio", "net_prio.ifpriomap", p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10), pointer)
		}
	}
}

// unified writes files of cgroup2 as they stand. The names come from config.json: no path.
func (b *builder) unified(files map[string]string) {
	for _, name := range sorted(files) {
		pointer := "/unified/" + name
		controller, _, dot := strings.Cut(name, ".")
		switch {
		case b.has("unified") != 2:
			b.fail(pointer, spec.RuntimeUnified, ErrVersion)
		case !dot || controller == "" || strings.Contains(name, "/"):
			b.fail(pointer, spec.RuntimeUnified, errors.Join(ErrValue, errors.New("not the name of a file of a controller")))
		default:
			for line := range strings.Lines(files[name]) { // the kernel takes one device a write
				b.list = append(b.list, setting{
					controller: controller, v2: true, file: name, value: strings.TrimSuffix(line, "\n"), pointer: pointerRoot + pointer,
				})
			}
		}
	}
}
