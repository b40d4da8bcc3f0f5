package cgroup

import (
	"strconv"
	"strings"
)

func (m *manager) Stats() (Stats, error) {
	var s Stats
	if m.unified.dir == "" && len(m.v1) == 0 {
		return s, nil
	}
	if m.unified.dir != "" && len(m.v1) == 0 {
		m.stats2(&s)
	} else {
		m.stats1(&s)
	}
	if _, err := children(m.tree()); err != nil { // a group that is gone, or was all the while
		return Stats{}, &Error{Op: "read cgroup", Subject: m.tree(), Err: err}
	}
	return s, nil
}

// one reads a file with one number; "max" and the huge numbers by which v1 says "no limit" are 0.
func one(name string) uint64 {
	text, err := readShort(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= 1<<62 {
		return 0
	}
	return n
}

// pairs reads a file with a name and a number a line, and calls f for each.
func pairs(name string, f func(key string, n uint64)) {
	text, err := readValue(name)
	if err != nil {
		return
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			f(key, n)
		}
	}
}

func (m *manager) stats2(s *Stats) {
	dir := m.unified.dir
	pairs(dir+"/cpu.stat", func(key string, n uint64) {
		switch key {
		case "usage_usec":
			s.CPUUsage = n * 1000
		case "user_usec":
			s.CPUUser = n * 1000
		case "system_usec":
			s.CPUSystem = n * 1000
		case "nr_periods":
			s.CPUPeriods = n
		case "nr_throttled":
			s.CPUThrottled = n
		case "throttled_usec":
			s.CPUThrottledNS = n * 1000
		}
	})
	s.MemoryUsage, s.MemoryPeak = one(dir+"/memory.current"), one(dir+"/memory.peak")
	s.MemoryLimit, s.SwapUsage = one(dir+"/memory.max"), one(dir+"/memory.swap.current")
	pairs(dir+"/memory.stat", func(key string, n uint64) {
		switch key {
		case "file":
			s.MemoryCache = n
		case "inactive_file":
			s.MemoryInactiveFile = n
		}
	})
	pairs(dir+"/memory.events", func(key string, n uint64) {
		if key == "oom_kill" {
			s.OOMKills = n
		}
	})
	s.Pids, s.PidsLimit = one(dir+"/pids.current"), one(dir+"/pids.max")
	text, _ := readValue(dir + "/io.stat") // 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "rbytes":
			s.ReadBytes += n
		case "wbytes":
			s.WriteBytes += n
		case "rios":
			s.ReadOps += n
		case "wios":
			s.WriteOps += n
		}
	}
}

func (m *manager) stats1(s *Stats) {
	if dir := m.find("cpuacct"); dir != "" {
		s.CPUUsage = one(dir + "/cpuacct.usage")
		s.CPUUser, s.CPUSystem = one(dir+"/cpuacct.usage_user"), one(dir+"/cpuacct.usage_sys")
	}
	if dir := m.find("cpu"); dir != "" {
		pairs(dir+"/cpu.stat", func(key string, n uint64) {
			switch key {
			case "nr_periods":
				s.CPUPeriods = n
			case "nr_throttled":
				s.CPUThrottled = n
			case "throttled_time":
				s.CPUThrottledNS = n
			}
		})
	}
	if dir := m.find("memory"); dir != "" {
		s.MemoryUsage, s.MemoryPeak = one(dir+"/memory.usage_in_bytes"), one(dir+"/memory.max_usage_in_bytes")
		s.MemoryLimit = one(dir + "/memory.limit_in_bytes")
		pairs(dir+"/memory.stat", func(key string, n uint64) {
			switch key {
			case "total_cache":
				s.MemoryCache = n
			case "total_inactive_file":
				s.MemoryInactiveFile = n
			case "total_swap":
				s.SwapUsage = n
			}
		})
		pairs(dir+"/memory.oom_control", func(key string, n uint64) {
			if key == "oom_kill" {
				s.OOMKills = n
			}
		})
	}
	if dir := m.find("pids"); dir != "" {
		s.Pids, s.PidsLimit = one(dir+"/pids.current"), one(dir+"/pids.max")
	}
	if dir := m.find("blkio"); dir != "" {
		s.ReadBytes, s.WriteBytes = readWrite(dir + "/blkio.throttle.io_service_bytes_recursive")
		s.ReadOps, s.WriteOps = readWrite(dir + "/blkio.throttle.io_serviced_recursive")
	}
}

// readWrite sums lines like "8:0 Read 4096".
func readWrite(name string) (reads, writes uint64) {
	text, _ := readValue(name)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		n, err := strconv.ParseUint(f[2], 10, 64)
		if err != nil {
			continue
		}
		switch f[1] {
		case "Read":
			reads += n
		case "Write":
			writes += n
		}
	}
	return reads, writes
}
