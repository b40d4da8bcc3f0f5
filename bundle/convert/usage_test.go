package convert

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestUsageErrors: every bad value is a UsageError that names its flag.
func TestUsageErrors(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.json")
	if err := os.WriteFile(big, make([]byte, maxProfile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	one := func(set func(*Options, string), values ...string) (out []func(*Options)) {
		for _, v := range values {
			out = append(out, func(o *Options) { set(o, v) })
		}
		return out
	}
	for flag, bad := range map[string][]func(*Options){
		"--workdir":            one(func(o *Options, v string) { o.Workdir = v }, "relative", "./x"),
		"--env":                one(func(o *Options, v string) { o.Env = []string{v} }, "", "=x", "A=b\x00"),
		"--env-file":           one(func(o *Options, v string) { o.EnvFile = []string{v} }, "A B=c", "=x"),
		"--label":              one(func(o *Options, v string) { o.Labels = []string{v} }, "", "=x"),
		"--annotation":         one(func(o *Options, v string) { o.Annotations = []string{v} }, "", "=x", "novalue"),
		"--network":            one(func(o *Options, v string) { o.Network = v }, "bridge", "ns:", "ns:rel", "shareable", " "),
		"--pid":                one(func(o *Options, v string) { o.PID = v }, "none", "container:x", "container:"),
		"--ipc":                one(func(o *Options, v string) { o.IPC = v }, "shareable none", "x"),
		"--uts":                one(func(o *Options, v string) { o.UTS = v }, "x"),
		"--cgroupns":           one(func(o *Options, v string) { o.Cgroupns = v }, "x"),
		"--userns":             one(func(o *Options, v string) { o.Userns = v }, "x", "private"),
		"--hostname":           one(func(o *Options, v string) { o.Hostname = v }, "a b", strings.Repeat("x", 65)),
		"--domainname":         one(func(o *Options, v string) { o.Domainname, o.UTS = v, "host" }, "d"),
		"--cap-add":            one(func(o *Options, v string) { o.CapAdd = []string{v} }, "", "NOSUCH", "CHOWN,"),
		"--cap-drop":           one(func(o *Options, v string) { o.CapDrop = []string{v} }, "CAP_"),
		"--memory":             one(func(o *Options, v string) { o.Memory = v }, "0", "-1", "12q", "511k", "1e9", "9999999999g", "m", "inf", "nan", "0x10"),
		"--memory-swap":        append(one(func(o *Options, v string) { o.Memory, o.MemorySwap = "10m", v }, "9m", "-2", "x"), func(o *Options) { o.MemorySwap = "1g" }),
		"--memory-reservation": one(func(o *Options, v string) { o.Memory, o.MemoryReservation = "10m", v }, "11m", "0", "x"),
		"--cpus":               one(func(o *Options, v string) { o.CPUs = v }, "0", "-1", "x", "NaN", "inf", "0.001"),
		"--cpu-shares":         {func(o *Options) { o.CPUShares = 1 }},
		"--cpuset-cpus":        one(func(o *Options, v string) { o.CpusetCpus = v }, "a", "3-1", "1,", "-", "1-2-3"),
		"--cpuset-mems":        one(func(o *Options, v string) { o.CpusetMems = v }, "x"),
		"--memory-swappiness":  {func(o *Options) { n := int64(101); o.MemorySwappiness = &n }, func(o *Options) { n := int64(-2); o.MemorySwappiness = &n }},
		"--cpu-period":         {func(o *Options) { o.CPUPeriod = 999 }, func(o *Options) { o.CPUPeriod = 1_000_001 }, func(o *Options) { o.CPUs, o.CPUPeriod = "1", 100_000 }},
		"--cpu-quota":          {func(o *Options) { o.CPUQuota = 999 }, func(o *Options) { o.CPUQuota = -2 }, func(o *Options) { o.CPUs, o.CPUQuota = "1", 100_000 }},
		"--cpu-rt-period":      {func(o *Options) { o.CPURTPeriod = 1_000_001 }},
		"--cpu-rt-runtime":     {func(o *Options) { o.CPURTRuntime = -1 }, func(o *Options) { o.CPURTPeriod, o.CPURTRuntime = 1000, 1001 }},
		"--cgroup-conf":        one(func(o *Options, v string) { o.CgroupConf = []string{v} }, "", "memory.high", "memory=1", ".high=1", "memory.=1", "../memory.high=1", "memory.high=1\x00"),
		"--cgroup-parent": append(one(func(o *Options, v string) { o.CgroupParent, o.ContainerID = v, "id" }, "a.slice", "/a/../b", "..", "a\x00"),
			func(o *Options) { o.CgroupParent = "/a" }, func(o *Options) { o.CgroupParent, o.CgroupsPath, o.ContainerID = "/a", "/b", "id" }),
		"--blkio-weight":        {func(o *Options) { o.BlkioWeight = 9 }, func(o *Options) { o.BlkioWeight = 1001 }},
		"--blkio-weight-device": one(func(o *Options, v string) { o.BlkioWeightDevices = []string{v} }, "", "100", ":100", "/dev/null:100", "/no/such:100", "/dev:100", "rel:100"),
		"--device-read-bps":     one(func(o *Options, v string) { o.DeviceReadBps = []string{v} }, "", "/dev/null:1m", "/no/such:1m", "/etc/passwd:1m"),
		"--device-write-iops":   one(func(o *Options, v string) { o.DeviceWriteIOps = []string{v} }, "", "/dev/null:1"),
		"--device-cgroup-rule":  one(func(o *Options, v string) { o.DeviceCgroupRules = []string{v} }, "", "c 1:3", "d 1:3 r", "c 1 r", "c 1:x r", "c 1:3 rwx", "c 1:3 rwmr", "c -1:3 r", "c 1:3 r r", "ab 1:3 r", "c 1:99999999999 r"),
		"--pids-limit":          {func(o *Options) { o.PidsLimit = -2 }, func(o *Options) { o.Rootless, o.PidsLimit = true, 5 }},
		"--oom-score-adj":       {func(o *Options) { n := 1001; o.OOMScoreAdj = &n }},
		"--ulimit":              one(func(o *Options, v string) { o.Ulimits = []string{v} }, "nofile", "nofile=", "nofile=2:1", "nosuch=1", "=1", "nofile=-2", "nofile=1:2:3"),
		"--sysctl":              one(func(o *Options, v string) { o.Sysctls = []string{v} }, "net.x", "=1", "kernel.panic=1", "vm.overcommit_memory=1", "kernel.hostname=x", "net..=1", "net.a="),
		"--shm-size":            one(func(o *Options, v string) { o.ShmSize = v }, "0", "-1", "x"),
		"--device":              one(func(o *Options, v string) { o.Devices = []string{v} }, "", "rel", "/dev/null:/x:rwx", "/dev/null:/", "/no/such/device", "/etc/passwd", "/dev/null:rwm:rwm"),
		"--tmpfs":               one(func(o *Options, v string) { o.Tmpfs = []string{v} }, "", "rel", "/", "/t:bind", "/../"),
		"--mount": one(func(o *Options, v string) { o.Mounts = []string{v} }, "", "type=bind", "type=bind,src=/a", "type=bind,dst=/b", "type=nfs,dst=/b",
			"type=tmpfs,dst=/b,src=/a", "type=tmpfs,dst=/b,tmpfs-size=x", "type=tmpfs,dst=/b,tmpfs-mode=9", "type=bind,src=/a,dst=/b,ro=maybe", "type=bind,src=/a,dst=/b,what=1",
			"type=bind,src=/a,dst=/b,bind-propagation=x", "type=bind,src=/a,dst=/b,tmpfs-size=1", "type=tmpfs,dst=/b,bind-propagation=slave", "type=volume,src=v,dst=/b", `type="bind`, "type=bind,src=/a,dst=/b,bind-recursive=x", "type=,dst=/b"),
		"--volume": append(one(func(o *Options, v string) { o.Volumes = []string{v} }, "", "rel", "/a:/b:/c:/d", ":/b", "/a:rel", "/a:/b:what", "name:/b", "/a:/"),
			func(o *Options) {
				o.Volumes = []string{"../x:/b", ".:/b"}
			},
			func(o *Options) {
				o.VolumeDir = func(Volume) (string, error) { return "", os.ErrPermission }
				o.Volumes = []string{"name:/b"}
			},
			func(o *Options) {
				o.VolumeDir = func(Volume) (string, error) { return "/v", nil }
				o.Volumes = []string{"..x:/b"}
			}),
		"--security-opt": one(func(o *Options, v string) { o.SecurityOpts = []string{v} }, "", "x", "seccomp", "seccomp=", "seccomp=/no/such/file", "seccomp=/etc", "seccomp="+big, "no-new-privileges=maybe",
			"label=x", "label=type:", "label=type:a:b", "label=user:a b", "proc-opts=", "proc-opts=hidepid", "proc-opts=what=1", "proc-opts=hidepid=2,", "mask=rel", "mask=/[", "systempaths=x", "what=1"),
	} {
		for i, set := range bad {
			o := plain()
			set(&o)
			_, err := Spec(imageOf(""), testRoot(), o)
			var e *UsageError
			if !errors.Is(err, ErrUsage) || !errors.As(err, &e) || e.Flag != flag || !strings.HasPrefix(err.Error(), flag+" ") {
				t.Errorf("%s, value %d: got %v", flag, i, err)
			}
		}
	}
}

func TestParseEntrypoint(t *testing.T) {
	for value, want := range map[string][]string{"": {}, "/bin/sh -c": {"/bin/sh -c"}, `["a","b c"]`: {"a", "b c"}, "[]": {}} {
		if got, err := ParseEntrypoint(value); err != nil || got == nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
	for _, bad := range []string{"[", `["a",1]`, "[a]"} {
		if _, err := ParseEntrypoint(bad); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "10": 10, "10b": 10, "1k": 1024, "1K": 1024, "64m": 64 << 20, "1.5g": 3 << 29, "2GiB": 2 << 30, "2gb": 2 << 30, "1t": 1 << 40,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "k", "1kk", "1q", "-1", "+1", "1e3", "0x1", "inf", "1.2.3", "8388608t", "1 k"} {
		if n, err := parseSize(s); err == nil {
			t.Errorf("%q: got %d", s, n)
		}
	}
}

func TestResources(t *testing.T) {
	o := plain()
	o.Memory, o.CPUs = "1g", "0.5"
	r := mustSpec(t, imageOf(""), o).Linux.Resources
	if *r.Memory.Limit != 1<<30 || *r.Memory.Swap != 2<<30 || *r.CPU.Quota != 50000 || *r.CPU.Period != 100000 {
		t.Errorf("%+v %+v", r.Memory, r.CPU)
	}
	o.Host.SwapLimit = false
	if r := mustSpec(t, imageOf(""), o).Linux.Resources; r.Memory.Swap != nil {
		t.Error("swap is limited where it cannot be")
	}
	o.MemorySwap = "-1"
	if r := mustSpec(t, imageOf(""), o).Linux.Resources; *r.Memory.Swap != -1 {
		t.Error(*r.Memory.Swap)
	}
	o.Rootless, o.CgroupsPath = true, "/delegated"
	if r := mustSpec(t, imageOf(""), o).Linux.Resources; r == nil || r.Devices != nil || *r.Memory.Limit != 1<<30 {
		t.Errorf("delegated: %+v", r)
	}
	o = plain()
	o.Ulimits = []string{"core=unlimited", "core=0:5", "nproc=-1"}
	want := []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Hard: 5}, {Type: "RLIMIT_NPROC", Soft: math.MaxUint64, Hard: math.MaxUint64}}
	if got := mustSpec(t, imageOf(""), o).Process.Rlimits; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
