package cgroup

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

func only(version int) where { return func(string) int { return version } }

func v1Where(controller string) int {
	if controller == "unified" || controller == "io" {
		return 0
	}
	return 1
}

// listing gives "file = value" lines.
func listing(list []setting) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s.file + " = " + s.value)
		if s.optional {
			b.WriteString(" ?")
		}
		if s.other != nil {
			b.WriteString(" | " + s.other.file + " = " + s.other.value)
		}
		if s.guard != "" {
			b.WriteString(" if above " + s.guard)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func everything() *specs.LinuxResources {
	device := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	throttle := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: device, Rate: 4096}}
	return &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Reservation: ptr[int64](1 << 19), Swap: ptr[int64](3 << 20), CheckBeforeUpdate: ptr(true)},
		CPU: &specs.LinuxCPU{
			Shares: ptr[uint64](512), Quota: ptr[int64](50000), Period: ptr[uint64](100000), Burst: ptr[uint64](20000),
			Idle: ptr[int64](0), Cpus: "0-1", Mems: "0",
		},
		Pids: &specs.LinuxPids{Limit: ptr[int64](0)},
		BlockIO: &specs.LinuxBlockIO{
			Weight:                 ptr[uint16](500),
			WeightDevice:           []specs.LinuxWeightDevice{{LinuxBlockIODevice: device, Weight: ptr[uint16](10)}},
			ThrottleReadBpsDevice:  throttle,
			ThrottleWriteBpsDevice: throttle, ThrottleReadIOPSDevice: throttle, ThrottleWriteIOPSDevice: throttle,
		},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 9 << 20}},
		Rdma:           map[string]specs.LinuxRdma{"mlx5": {HcaHandles: ptr[uint32](3), HcaObjects: ptr[uint32](4)}},
	}
}

func TestSettingsGolden(t *testing.T) {
	r := everything()
	r.Network = &specs.LinuxNetwork{ClassID: ptr[uint32](7), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 5}}}
	r.Memory.Swappiness, r.Memory.DisableOOMKiller = ptr[uint64](0), ptr(true)
	r.CPU.RealtimePeriod, r.CPU.RealtimeRuntime = ptr[uint64](1000), ptr[int64](100)
	list, err := settings(r, v1Where)
	if err != nil {
		t.Fatal(err)
	}
	wantV1 := `memory.limit_in_bytes = 1048576 if above memory.usage_in_bytes
memory.memsw.limit_in_bytes = 3145728
memory.soft_limit_in_bytes = 524288
memory.swappiness = 0
memory.oom_control = 1
cpu.shares = 512
cpu.idle = 0
cpu.cfs_period_us = 100000
cpu.cfs_quota_us = 50000
cpu.cfs_burst_us = 20000
cpu.rt_period_us = 1000
cpu.rt_runtime_us = 100
cpuset.cpus = 0-1
cpuset.mems = 0
pids.max = 0
blkio.bfq.weight = 500 | blkio.weight = 500
blkio.bfq.weight_device = 8:16 10 | blkio.weight_device = 8:16 10
blkio.throttle.read_bps_device = 8:16 4096
blkio.throttle.write_bps_device = 8:16 4096
blkio.throttle.read_iops_device = 8:16 4096
blkio.throttle.write_iops_device = 8:16 4096
hugetlb.2MB.limit_in_bytes = 9437184
hugetlb.2MB.rsvd.limit_in_bytes = 9437184 ?
rdma.max = mlx5 hca_handle=3 hca_object=4
net_cls.classid = 7
net_prio.ifpriomap = eth0 5
`
	if got := listing(list); got != wantV1 {
		t.Errorf("v1: got\n%s", got)
	}
	r = everything()
	r.Unified = map[string]string{"memory.high": "5", "io.max": "8:0 rbps=1\n8:16 rbps=2"}
	// blkio is the name of v1 only.
	list, err = settings(r, func(c string) int {
		if c == "blkio" {
			return 0
		}
		return 2
	})
	if err != nil {
		t.Fatal(err)
	}
	wantV2 := `memory.swap.max = 2097152
memory.max = 1048576 if above memory.current
memory.low = 524288
cpu.weight = 59
cpu.idle = 0
cpu.max = 50000 100000
cpu.max.burst = 20000
cpuset.cpus = 0-1
cpuset.mems = 0
pids.max = 0
io.bfq.weight = 500 | io.weight = 4950
io.bfq.weight = 8:16 10 | io.weight = 8:16 1
io.max = 8:16 rbps=4096
io.max = 8:16 wbps=4096
io.max = 8:16 riops=4096
io.max = 8:16 wiops=4096
hugetlb.2MB.max = 9437184
hugetlb.2MB.rsvd.max = 9437184 ?
rdma.max = mlx5 hca_handle=3 hca_object=4
io.max = 8:0 rbps=1
io.max = 8:16 rbps=2
memory.high = 5
`
	if got := listing(list); got != wantV2 {
		t.Errorf("v2: got\n%s", got)
	}
}

func TestSettingsLifted(t *testing.T) {
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](-1)}, Pids: &specs.LinuxPids{Limit: ptr[int64](-1)},
		CPU: &specs.LinuxCPU{Quota: ptr[int64](-1)},
	}
	for version, want := range map[int]string{
		1: "memory.limit_in_bytes = -1\nmemory.memsw.limit_in_bytes = -1 ?\ncpu.cfs_quota_us = -1\npids.max = max ?\n",
		2: "memory.swap.max = max ?\nmemory.max = max\ncpu.max = max\npids.max = max ?\n",
	} {
		list, err := settings(r, only(version))
		if got := listing(list); err != nil || got != want {
			t.Errorf("v%d: got\n%s%v", version, got, err)
		}
	}
	nothing := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](0), Swap: ptr[int64](0)}, CPU: &specs.LinuxCPU{Shares: ptr[uint64](0)},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](0)}, Pids: &specs.LinuxPids{},
	}
	if list, err := settings(nothing, only(0)); err != nil || len(list) != 0 {
		t.Errorf("nothing asked for: %v %v", list, err)
	}
}

func TestSettingsRefused(t *testing.T) {
	device := specs.LinuxBlockIODevice{Major: 8}
	for _, tt := range []struct {
		name    string
		r       specs.LinuxResources
		version int
		kind    error
		subject string
	}{
		{"RS-CG4 unified on v1", specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}, 1, ErrVersion, "/unified/memory.high"},
		{"unified path", specs.LinuxResources{Unified: map[string]string{"../memory.high": "1"}}, 2, ErrValue, "/unified/../memory.high"},
		{"unified without controller", specs.LinuxResources{Unified: map[string]string{"x": "1"}}, 2, ErrValue, "/unified/x"},
		{"RS-CG5 swappiness on v2", specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr[uint64](3)}}, 2, ErrVersion, "/memory/swappiness"},
		{"swappiness above 100", specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr[uint64](101)}}, 1, ErrValue, "/memory/swappiness"},
		{"RS-CG5 swap without memory", specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: ptr[int64](3)}}, 2, ErrValue, "/memory/swap"},
		{"RS-CG5 swap below memory", specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](9), Swap: ptr[int64](3)}}, 2, ErrValue, "/memory/swap"},
		{"RS-CG5 realtime on v2", specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: ptr[int64](3)}}, 2, ErrVersion, "/cpu/realtimeRuntime"},
		{"RS-CG5 network on v2", specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr[uint32](3)}}, 2, ErrVersion, "/network/classID"},
		{"RS-CG5 leaf weight on v2", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr[uint16](30)}}, 2, ErrVersion, "/blockIO/leafWeight"},
		{"weight 9", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](9)}}, 1, ErrValue, "/blockIO/weight"},
		{"RS-CG6 no weight", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: device}}}}, 1, ErrValue, "/blockIO/weightDevice/0"},
		{"RS-CG7 rdma without a limit", specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"x": {}}}, 1, ErrValue, "/rdma/x"},
		{"page size", specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../2MB"}}}, 2, ErrValue, "/hugepageLimits/0/pageSize"},
		{"no controller", specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](5)}}, 0, ErrController, "/pids/limit"},
		{"interface name", specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "a b"}}}}, 1, ErrValue, "/network/priorities/0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			has := only(tt.version)
			if tt.version == 1 {
				has = v1Where
			}
			if tt.version == 2 {
				has = func(c string) int {
					if c == "blkio" {
						return 0
					}
					return 2
				}
			}
			_, err := settings(&tt.r, has)
			var e *Error
			if !errors.Is(err, tt.kind) || !errors.As(err, &e) || e.Subject != pointerRoot+tt.subject {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 3: 2, 1024: 100, 512: 59, 262144: 10000, 1 << 40: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("%d: got %d, want %d", shares, got, want)
		}
	}
}

func TestPageSize(t *testing.T) {
	for _, s := range []string{"64KB", "2MB", "1GB", "4096B"} {
		if !pageSize(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"", "B", "2M", "MB", "2MKB", "2 MB", "2/MB", "-2MB", "2MB\n"} {
		if pageSize(s) {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestSorted(t *testing.T) {
	if got := sorted(map[string]int{"b": 1, "a": 2}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}
