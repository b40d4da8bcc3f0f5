package main

func (c *convertFlags) registerResources() {
	f, o := c.flags, &c.o
	f.StringVar(&o.CgroupsPath, "cgroups-path", "", "`path` of the container's cgroup")
	f.StringVar(&o.CgroupParent, "cgroup-parent", "", "`path` of the cgroup below which the container has its own, named by its ID (run and create)")
	f.StringArrayVar(&o.CgroupConf, "cgroup-conf", nil, "write a file of cgroup v2: `FILE=value`, such as memory.high=1073741824")
	f.StringVarP(&o.Memory, "memory", "m", "", "memory limit: `bytes`, or 512m")
	f.StringVar(&o.MemorySwap, "memory-swap", "", "limit of memory and swap together: `bytes`; -1 for none")
	f.StringVar(&o.MemoryReservation, "memory-reservation", "", "soft memory limit: `bytes`")
	f.Int64Var(&c.swappiness, "memory-swappiness", -1, "how readily memory is swapped out, `0 to 100` (cgroup v1)")
	f.BoolVar(&o.OOMKillDisable, "oom-kill-disable", false, "let processes wait where the memory limit would kill one (cgroup v1)")
	f.StringVar(&o.CPUs, "cpus", "", "processor time: `number` of CPUs, 1.5")
	f.Uint64VarP(&o.CPUShares, "cpu-shares", "c", 0, "relative `weight` of processor time")
	f.Uint64Var(&o.CPUPeriod, "cpu-period", 0, "period of --cpu-quota in `microseconds`")
	f.Int64Var(&o.CPUQuota, "cpu-quota", 0, "processor time in a period: `microseconds`; -1 for no limit")
	f.Uint64Var(&o.CPURTPeriod, "cpu-rt-period", 0, "period of --cpu-rt-runtime in `microseconds` (cgroup v1)")
	f.Int64Var(&o.CPURTRuntime, "cpu-rt-runtime", 0, "time of real-time tasks in a period: `microseconds` (cgroup v1)")
	f.StringVar(&o.CpusetCpus, "cpuset-cpus", "", "`CPUs` to run on: 0-3,5")
	f.StringVar(&o.CpusetMems, "cpuset-mems", "", "memory `nodes` to use")
	f.Int64Var(&o.PidsLimit, "pids-limit", 0, "`number` of processes; -1 for no limit")
	c.registerBlockIO()
}

func (c *convertFlags) registerBlockIO() {
	f, o := c.flags, &c.o
	f.Uint16Var(&o.BlkioWeight, "blkio-weight", 0, "relative `weight` of disk time, 10 to 1000")
	f.StringArrayVar(&o.BlkioWeightDevices, "blkio-weight-device", nil, "weight of a device: `/dev/sda:weight`")
	f.StringArrayVar(&o.DeviceReadBps, "device-read-bps", nil, "limit of reading from a device, in bytes a second: `/dev/sda:1m`")
	f.StringArrayVar(&o.DeviceWriteBps, "device-write-bps", nil, "limit of writing to a device, in bytes a second: `/dev/sda:1m`")
	f.StringArrayVar(&o.DeviceReadIOps, "device-read-iops", nil, "limit of reads from a device a second: `/dev/sda:1000`")
	f.StringArrayVar(&o.DeviceWriteIOps, "device-write-iops", nil, "limit of writes to a device a second: `/dev/sda:1000`")
	f.StringArrayVar(&o.DeviceCgroupRules, "device-cgroup-rule", nil, "allow what is made later: `KIND MAJOR:MINOR ACCESS`, such as \"c 189:* rwm\"")
}
