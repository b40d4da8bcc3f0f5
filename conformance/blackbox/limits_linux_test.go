package blackbox_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles are the files of cgroup v1 and v2 that linux.resources ends in.
func limitFiles() []string {
	return []string{
		"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "memory.oom_control",
		"cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.idle", "cpuset.cpus", "cpuset.mems", "pids.max",
		"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
		"net_cls.classid", "net_prio.ifpriomap", "hugetlb.2MB.limit_in_bytes", "devices.list",
		"memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "io.max", "hugetlb.2MB.max",
	}
}

// limitsOf reads them in the groups of a process, those that are there.
func limitsOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	check(t, err)
	got := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, controller := range strings.Split(f[1], ",") {
			for _, dir := range []string{filepath.Join("/sys/fs/cgroup", controller, f[2]), filepath.Join("/sys/fs/cgroup/unified", f[2])} {
				for _, name := range limitFiles() {
					if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
						got[name] = string(text)
					}
				}
			}
		}
	}
	return got
}

// TestLimits_as_runc: of one config.json the kernel holds the same limits under runc as under oci.
func TestLimits_as_runc(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	dir := s.foreignBundle(t, true)
	device := blockDevice(t)
	rate := func(n int) []any { return []any{map[string]any{"major": device[0], "minor": device[1], "rate": n}} }
	at := func(controller string) bool { _, err := os.Stat("/sys/fs/cgroup/" + controller); return err == nil }
	edit(t, dir, func(c map[string]any) {
		process(c)["terminal"] = false
		process(c)["args"] = []string{"true"}
		memory := map[string]any{"limit": 512 << 20, "swap": 1024 << 20, "reservation": 32 << 20, "checkBeforeUpdate": true}
		resources := c["linux"].(map[string]any)["resources"].(map[string]any)
		resources["memory"] = memory
		resources["cpu"] = map[string]any{"shares": 300, "period": 50000, "quota": 20000, "cpus": "0", "mems": "0"}
		resources["pids"] = map[string]any{"limit": 77}
		if at("hugetlb") || at("cgroup.controllers") { // in a hybrid runc does not use the controllers of v2
			resources["hugepageLimits"] = []any{map[string]any{"pageSize": "2MB", "limit": 4 << 20}}
		}
		resources["blockIO"] = map[string]any{
			"throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20), "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400),
		}
		resources["devices"] = append(resources["devices"].([]any), map[string]any{"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm"})
		if at("memory") {
			memory["swappiness"], memory["disableOOMKiller"] = 60, true
		}
		if at("net_cls") && at("net_prio") {
			resources["network"] = map[string]any{"classID": 7, "priorities": []any{map[string]any{"name": "lo", "priority": 5}}}
		}
	})
	read := func(name string, create func(id, pidFile string) (remove func())) map[string]string {
		id, pidFile := token(), filepath.Join(s.dir, name+"-pid")
		defer create(id, pidFile)()
		raw, err := os.ReadFile(pidFile)
		check(t, err)
		var pid int
		_, err = fmt.Sscan(string(raw), &pid)
		check(t, err)
		return limitsOf(t, pid)
	}
	ours := read("oci", func(id, pidFile string) func() {
		s.ok(t, "create", "--bundle", dir, "--pid-file", pidFile, id)
		return func() { s.ok(t, "delete", "--force", id) }
	})
	theirs := read("runc", func(id, pidFile string) func() {
		errors, err := os.Create(filepath.Join(s.dir, "errors")) // a pipe would be held open by the container
		check(t, err)
		defer errors.Close()
		create := exec.Command("runc", "--root", filepath.Join(s.dir, "runc"), "create", "--bundle", dir, "--pid-file", pidFile, id)
		create.Stderr = errors
		if err := create.Run(); err != nil {
			text, _ := os.ReadFile(errors.Name())
			t.Fatalf("runc create: %v: %s", err, text)
		}
		return func() { command(t, "runc", "--root", filepath.Join(s.dir, "runc"), "delete", "--force", id) }
	})
	if len(theirs) < 10 {
		t.Errorf("only %d files were read: %v", len(theirs), theirs)
	}
	for name, want := range theirs {
		if name == "devices.list" { // in the order of the rules, and each with default devices of its own
			want, ours[name] = deviceSet(want), deviceSet(ours[name])
		}
		if got := ours[name]; got != want {
			t.Errorf("%s:\n%swith runc\n%s", name, got, want)
		}
	}
}

// deviceSet gives what the device rules of both allow: runc 1.1 allows the tun device besides, which the config here does too.
func deviceSet(list string) string {
	lines := strings.Split(strings.TrimSpace(list), "\n")
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// blockDevice gives major and minor of one that the machine has.
func blockDevice(t *testing.T) [2]uint32 {
	t.Helper()
	raw, err := os.ReadFile("/proc/partitions")
	check(t, err)
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		var st unix.Stat_t
		if len(f) == 4 && unix.Stat("/dev/"+f[3], &st) == nil {
			return [2]uint32{unix.Major(st.Rdev), unix.Minor(st.Rdev)}
		}
	}
	t.Skip("this machine has no block device")
	return [2]uint32{}
}
