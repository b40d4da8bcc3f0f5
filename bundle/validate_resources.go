package bundle

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const resourcesAt = "/linux/resources"

// resourceRules checks the limits that the kernel refuses whatever the machine (config-linux.md#control-groups).
func (r *report) resourceRules(res *specs.LinuxResources) {
	if res == nil {
		return
	}
	if m := res.Memory; m != nil {
		if m.Swappiness != nil && *m.Swappiness > 100 {
			r.add(resourcesAt+"/memory/swappiness", spec.LinuxMemory, "0 to 100", ErrInvalid, "%d is out of range", *m.Swappiness)
		}
	}
	r.cpu(res.CPU)
	if p := res.Pids; p != nil && p.Limit != nil && *p.Limit < -1 {
		r.add(resourcesAt+"/pids/limit", spec.LinuxPids, "a number of tasks, or -1 for no limit", ErrInvalid, "%d", *p.Limit)
	}
	if n := res.Network; n != nil {
		for i, p := range n.Priorities {
			if p.Name == "" {
				r.add(at(resourcesAt+"/network/priorities", i, "/name"), spec.LinuxNetwork, "the name of an interface", ErrMissing, "")
			}
		}
	}
	for _, device := range sortedKeys(res.Rdma) {
		if d := res.Rdma[device]; d.HcaHandles == nil && d.HcaObjects == nil {
			r.add(resourcesAt+"/rdma/"+spec.EscapeToken(device), spec.LinuxRdma, "hcaHandles or hcaObjects", ErrMissing, "")
		}
	}
	if b := res.BlockIO; b != nil {
		for i, d := range b.WeightDevice {
			if d.Weight == nil && d.LeafWeight == nil {
				r.add(at(resourcesAt+"/blockIO/weightDevice", i, ""), spec.BundleBlockIO, "weight or leafWeight", ErrMissing, "")
			}
		}
	}
}

func (r *report) cpu(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if c.Burst != nil && c.Quota != nil && *c.Quota > 0 && *c.Burst > uint64(*c.Quota) {
		r.add(resourcesAt+"/cpu/burst", spec.LinuxCPU, "at most quota", ErrInvalid, "%d is above the quota, %d", *c.Burst, *c.Quota)
	}
	if c.RealtimeRuntime != nil && c.RealtimePeriod != nil && *c.RealtimeRuntime > 0 && *c.RealtimePeriod > 0 && uint64(*c.RealtimeRuntime) > *c.RealtimePeriod {
		r.add(resourcesAt+"/cpu/realtimeRuntime", spec.LinuxCPU, "at most realtimePeriod", ErrInvalid, "%d is above the period, %d", *c.RealtimeRuntime, *c.RealtimePeriod)
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		r.add(resourcesAt+"/cpu/idle", spec.LinuxCPU, "0 or 1", ErrInvalid, "%d", *c.Idle)
	}
	r.cpuList(resourcesAt+"/cpu/cpus", spec.LinuxCPU, c.Cpus)
	r.cpuList(resourcesAt+"/cpu/mems", spec.LinuxCPU, c.Mems)
}

// memoryAdvice tells which limits the kernel has given up, and which cannot be reached.
func (r *report) memoryAdvice(res *specs.LinuxResources) {
	if res == nil || res.Memory == nil {
		return
	}
	m := res.Memory
	//lint:ignore SA1019 what is deprecated is to be told
	for name, set := range map[string]bool{"kernel": m.Kernel != nil, "kernelTCP": m.KernelTCP != nil} {
		if set {
			r.add(resourcesAt+"/memory/"+name, spec.LinuxMemoryAdvice, "leave it out", ErrInvalid, "cgroup v2 has no such limit")
		}
	}
	if m.Limit != nil && m.Swap != nil && *m.Limit > 0 && *m.Swap > 0 && *m.Swap < *m.Limit {
		r.add(resourcesAt+"/memory/swap", spec.LinuxMemoryAdvice, "memory and swap together: at least limit", ErrInvalid, "%d is below the limit of memory, %d", *m.Swap, *m.Limit)
	}
	if m.Reservation != nil && m.Limit != nil && *m.Limit > 0 && *m.Reservation > *m.Limit {
		r.add(resourcesAt+"/memory/reservation", spec.LinuxMemoryAdvice, "at most limit", ErrInvalid, "%d is above the limit, %d", *m.Reservation, *m.Limit)
	}
}

// pageSize is the form of hugepageLimits: a number, the unit K, M or G, and B.
func pageSize(s string) bool {
	number, ok := strings.CutSuffix(s, "B")
	if !ok || len(number) < 2 || !strings.ContainsRune("KMG", rune(number[len(number)-1])) {
		return false
	}
	number = number[:len(number)-1]
	return number[0] != '0' && strings.Trim(number, "0123456789") == ""
}
