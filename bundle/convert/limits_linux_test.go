package convert

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// podmanSpec gives the config.json that podman writes for flags.
func podmanSpec(t *testing.T, flags ...string) *specs.Spec {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and podman, whose reading of the flags is the measure")
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "rootfs"), 0o755))
	podman := func(args ...string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "podman", append([]string{
			"--root", dir + "/store", "--runroot", dir + "/run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none",
		}, args...)...).CombinedOutput()
	}
	out, err := podman(slices.Concat([]string{"create", "--name", "c", "--network", "none"}, flags, []string{"--rootfs", dir + "/rootfs", "/bin/true"})...)
	if err != nil {
		t.Skipf("podman makes no container here: %v: %s", err, out)
	}
	out, _ = podman("init", "c") // that the runtime then starts it is not asked for
	t.Cleanup(func() {
		_ = exec.Command("podman", "--root", dir+"/store", "--runroot", dir+"/run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "rm", "-f", "c").Run()
		for range 50 { // what it left in the background writes there for a moment
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	files, err := filepath.Glob(dir + "/store/*-containers/*/userdata/config.json")
	if err != nil || len(files) != 1 {
		t.Fatalf("podman wrote %q: %v: %s", files, err, out)
	}
	raw, err := os.ReadFile(files[0])
	must(t, err)
	s := new(specs.Spec)
	must(t, json.Unmarshal(raw, s))
	return s
}

// TestPodmanLimitsAgree: the same flags give the same limits as with podman.
func TestPodmanLimitsAgree(t *testing.T) {
	devices := blockDevices()
	if len(devices) == 0 {
		t.Skip("this machine has no block device")
	}
	d := devices[0]
	theirs := podmanSpec(t,
		"-m", "512m", "--memory-swap", "1g", "--memory-reservation", "100m", "--memory-swappiness", "60", "--oom-kill-disable",
		"--cpu-period", "50000", "--cpu-quota", "20000", "--cpu-rt-period", "10000", "--cpu-rt-runtime", "5000", "--cpu-shares", "300", "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "77",
		"--blkio-weight", "100", "--blkio-weight-device", d+":200", "--device-read-bps", d+":1mb", "--device-write-bps", d+":2mb", "--device-read-iops", d+":300", "--device-write-iops", d+":400",
		"--device-cgroup-rule", "c 189:* rwm", "--oom-score-adj", "100", "--ulimit", "nofile=100:200")
	swappiness, score := int64(60), 100
	o := plain()
	o.Memory, o.MemorySwap, o.MemoryReservation, o.MemorySwappiness, o.OOMKillDisable = "512m", "1g", "100m", &swappiness, true
	o.CPUPeriod, o.CPUQuota, o.CPURTPeriod, o.CPURTRuntime, o.CPUShares, o.CpusetCpus, o.CpusetMems, o.PidsLimit = 50000, 20000, 10000, 5000, 300, "0", "0", 77
	o.BlkioWeight, o.BlkioWeightDevices, o.DeviceReadBps, o.DeviceWriteBps = 100, []string{d + ":200"}, []string{d + ":1mb"}, []string{d + ":2mb"}
	o.DeviceReadIOps, o.DeviceWriteIOps, o.DeviceCgroupRules = []string{d + ":300"}, []string{d + ":400"}, []string{"c 189:* rwm"}
	o.OOMScoreAdj, o.Ulimits = &score, []string{"nofile=100:200"}
	ours := mustSpec(t, imageOf(""), o)
	rule := func(s *specs.Spec) (rules []specs.LinuxDeviceCgroup) {
		for _, r := range s.Linux.Resources.Devices {
			if r.Major != nil && *r.Major == 189 {
				rules = append(rules, r)
			}
		}
		return rules
	}
	if got := rule(ours); cmp.Diff(rule(theirs), got) != "" || len(got) != 1 {
		t.Errorf("rules: %v, podman %v", got, rule(theirs))
	}
	theirs.Linux.Resources.Devices, ours.Linux.Resources.Devices = nil, nil // their defaults are others
	if theirs.Linux.Resources.BlockIO.Weight == nil {                       // podman leaves it out where this kernel has no blkio.weight; the runtime is to say so
		ours.Linux.Resources.BlockIO.Weight = nil
	}
	if diff := cmp.Diff(theirs.Linux.Resources, ours.Linux.Resources); diff != "" {
		t.Errorf("podman -, oci +:\n%s", diff)
	}
	nofile := func(l specs.POSIXRlimit) bool { return l.Type == "RLIMIT_NOFILE" && l.Soft == 100 && l.Hard == 200 }
	if !slices.ContainsFunc(theirs.Process.Rlimits, nofile) || !slices.ContainsFunc(ours.Process.Rlimits, nofile) || *theirs.Process.OOMScoreAdj != *ours.Process.OOMScoreAdj {
		t.Errorf("%v, podman %v", ours.Process.Rlimits, theirs.Process.Rlimits)
	}
}

// TestUlimitHost: the limits are those that the kernel says this process has.
func TestUlimitHost(t *testing.T) {
	o := plain()
	o.Ulimits = []string{"host", "core=5"}
	got := map[string]specs.POSIXRlimit{}
	for _, l := range mustSpec(t, imageOf(""), o).Process.Rlimits {
		got[l.Type] = l
	}
	var stack unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_STACK, &stack))
	if l := got["RLIMIT_STACK"]; l.Soft != stack.Cur || l.Hard != stack.Max || len(got) != 16 || got["RLIMIT_CORE"].Hard != 5 {
		t.Errorf("%+v; the kernel says %+v", got, stack)
	}
}

// TestEdit_limits_beside: limits of a config that an edit does not speak of stay.
func TestEdit_limits_beside(t *testing.T) {
	weight, period := uint16(50), uint64(70_000)
	s := mustSpec(t, imageOf(""), plain())
	r := s.Linux.Resources
	r.CPU = &specs.LinuxCPU{Period: &period, Cpus: "1"}
	r.BlockIO = &specs.LinuxBlockIO{Weight: &weight}
	r.BlockIO.ThrottleReadBpsDevice = []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 9999}, Rate: 1}}
	r.Unified = map[string]string{"memory.high": "1"}
	o := plain()
	o.SecurityOpts, o.CPUQuota, o.CgroupConf = nil, 5000, []string{"memory.low=2"}
	if d := blockDevices(); len(d) > 0 {
		o.DeviceReadBps = []string{d[0] + ":1m"}
	}
	must(t, Edit(s, nil, o))
	if *r.CPU.Period != period || *r.CPU.Quota != 5000 || r.CPU.Cpus != "1" || *r.BlockIO.Weight != 50 || len(r.BlockIO.ThrottleReadBpsDevice) != 1+len(o.DeviceReadBps) || len(r.Unified) != 2 {
		t.Errorf("%+v %+v %+v", r.CPU, r.BlockIO, r.Unified)
	}
}
