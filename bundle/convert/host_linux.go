package convert

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DetectHost asks the machine.
func DetectHost() Host {
	var h Host
	var fs unix.Statfs_t
	h.CgroupV2 = unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
	h.SELinux = exists("/sys/fs/selinux/enforce")
	h.CgroupNamespaces = exists("/proc/self/ns/cgroup")
	h.Mqueue = exists("/dev/mqueue")
	h.UnprivilegedPorts = exists("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if h.CgroupV2 {
		// The root cgroup has no such file; any other has it when the memory controller is on.
		found, _ := filepath.Glob("/sys/fs/cgroup/*/memory.swap.max")
		h.SwapLimit = len(found) > 0
	} else {
		h.SwapLimit = exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
	}
	if b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		h.LastCapability, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	var data [2]unix.CapUserData
	if unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]) == nil {
		h.Capabilities = uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	}
	if exists("/sys/devices/system/cpu/cpu0/thermal_throttle") {
		h.ThermalThrottle, _ = filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle")
	}
	return h
}

func exists(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil
}
