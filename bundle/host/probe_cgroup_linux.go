package host

import (
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// tree is a hierarchy of control groups.
type tree struct {
	mount, own  string   // its mount point, and the directory of this process's group
	controllers []string // nil for cgroup2
}

// control looks at the hierarchies, and at the place where the container's group would be.
func control(s *specs.Spec, mounts []mount) Control {
	unified, v1 := trees(mounts, read("/proc/self/cgroup"))
	c := Control{Controllers: map[string]int{}, Known: map[string]bool{}, Seen: map[string]bool{}}
	switch {
	case unified == nil && len(v1) == 0:
		c.Version = "none"
		return c
	case len(v1) == 0:
		c.Version = "v2"
	case unified == nil:
		c.Version = "v1"
	default:
		c.Version = "hybrid"
	}
	at := ""
	if s.Linux != nil {
		at = s.Linux.CgroupsPath
	}
	c.Writable = true
	limits := s.Linux != nil && s.Linux.Resources != nil && limited(*s.Linux.Resources) ||
		s.Process != nil && s.Process.Scheduler != nil // real time is a matter of the group
	if unified != nil {
		c.two(*unified, at, limits)
	}
	for _, t := range v1 {
		c.one(t, at, limits)
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, ^uintptr(0), 0, 0) // no command of bpf(2)
	c.Filter = errno != unix.ENOSYS
	c.PageSizes = pageSizes()
	if s.Linux != nil && s.Linux.Resources != nil {
		c.named(s.Linux.Resources)
	}
	return c
}

// trees reads the hierarchies, those at the conventional place first.
func trees(mounts []mount, groups string) (unified *tree, v1 []tree) {
	var list []mount
	for _, m := range mounts {
		var fs unix.Statfs_t
		magic := map[string]int64{"cgroup": unix.CGROUP_SUPER_MAGIC, "cgroup2": unix.CGROUP2_SUPER_MAGIC}[m.kind]
		if magic != 0 && unix.Statfs(m.point, &fs) == nil && int64(fs.Type)&0xffffffff == magic { // another mount may cover it
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b mount) int { return away(a.point) - away(b.point) })
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(part) != 3 {
			continue
		}
		names := strings.Split(part[1], ",")
		i := slices.IndexFunc(list, func(m mount) bool {
			if part[1] == "" {
				return m.kind == "cgroup2"
			}
			return m.kind == "cgroup" && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(m.super, n) })
		})
		if i < 0 {
			continue
		}
		t := tree{mount: list[i].point, own: list[i].point}
		if rest, ok := strings.CutPrefix(part[2], strings.TrimSuffix(list[i].root, "/")); ok && !strings.HasPrefix(rest, "/..") {
			t.own = path.Join(t.mount, rest)
		}
		if part[1] == "" {
			unified = &t
		} else {
			t.controllers = names
			v1 = append(v1, t)
		}
	}
	return unified, v1
}

func away(point string) int {
	if below(point, "/sys/fs/cgroup") {
		return 0
	}
	return 1
}

// parent is the directory that is there already, in which the container's group, or one above it, would be made.
func (t tree) parent(cgroupsPath string) string {
	dir := t.own
	if strings.HasPrefix(cgroupsPath, "/") {
		for dir = path.Dir(path.Join(t.mount, path.Clean(cgroupsPath))); dir != t.mount && len(dir) > len(t.mount) && !exists(dir); {
			dir = path.Dir(dir)
		}
	} else if t.controllers == nil && dir != t.mount {
		dir = path.Dir(dir) // a group with processes has no controllers for its children
	}
	return dir
}

// see notes the files of groups: those that are given, and those just below the top until each controller was seen in one. The top itself
// has no files of limits. On v1 all groups have the same files, on v2 those of the controllers that are passed on to them.
func (t tree) see(c *Control, dirs ...string) {
	all := t.controllers
	if all == nil {
		all = strings.Fields(read(t.mount + "/cgroup.controllers"))
	}
	missing := func() bool { return slices.ContainsFunc(all, func(name string) bool { return !c.Seen[name] }) }
	for _, dir := range dirs {
		t.group(c, dir)
	}
	if !missing() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(names(t.mount))) {
		if dir := t.mount + "/" + name; missing() && exists(dir+"/cgroup.procs") {
			t.group(c, dir)
		}
	}
}

// group notes the files of a group.
func (t tree) group(c *Control, dir string) {
	if dir == t.mount {
		return
	}
	seen := t.controllers
	if seen == nil {
		seen = append(strings.Fields(read(dir+"/cgroup.controllers")), "cgroup")
	}
	if !slices.ContainsFunc(seen, func(name string) bool { return !c.Seen[name] }) {
		return
	}
	for name := range names(dir) {
		if strings.Contains(name, ".") {
			c.Known[name] = true
		}
	}
	for _, name := range seen {
		c.Seen[name] = true
	}
}

// one looks at a hierarchy of v1; at its files, if there are limits.
func (c *Control) one(t tree, cgroupsPath string, limits bool) {
	parent := t.parent(cgroupsPath)
	for _, name := range t.controllers {
		if !strings.HasPrefix(name, "name=") {
			c.Controllers[name] = 1
		}
	}
	if limits {
		t.see(c, parent)
	}
	c.Writable = c.Writable && (c.mayMake(parent) || strings.HasPrefix(t.controllers[0], "name="))
	if slices.Contains(t.controllers, "cpuset") {
		c.CPUs = firstList(parent+"/cpuset.effective_cpus", parent+"/cpuset.cpus")
		c.Mems = firstList(parent+"/cpuset.effective_mems", parent+"/cpuset.mems")
	}
}

// mayMake tells whether the caller may make a group there.
func (c *Control) mayMake(dir string) bool {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// two looks at cgroup2. Root switches controllers on from the top; others have what was switched on for them, or
// what they may switch on themselves.
func (c *Control) two(t tree, cgroupsPath string, limits bool) {
	parent := t.parent(cgroupsPath)
	from := parent
	if os.Geteuid() == 0 {
		from = t.mount
	}
	file := "/cgroup.controllers"
	if !c.mayMake(parent) || unix.Access(parent+"/cgroup.subtree_control", unix.W_OK) != nil {
		file = "/cgroup.subtree_control"
	}
	for _, name := range strings.Fields(read(from + file)) {
		c.Controllers[name] = 2
	}
	c.Writable = c.mayMake(parent)
	if limits {
		t.see(c, t.own, parent)
	}
	c.CPUs = firstList(parent+"/cpuset.cpus.effective", t.mount+"/cpuset.cpus.effective")
	c.Mems = firstList(parent+"/cpuset.mems.effective", t.mount+"/cpuset.mems.effective")
}

// firstList reads the first of the files that has a list.
func firstList(files ...string) []Range {
	for _, f := range files {
		if list, ok := parseRanges(read(f)); ok && len(list) > 0 {
			return list
		}
	}
	return nil
}

// pageSizes are the sizes of huge pages as config.json writes them.
func pageSizes() []string {
	var list []string
	for name := range names("/sys/kernel/mm/hugepages") {
		kb, ok := number(strings.TrimSuffix(strings.TrimPrefix(name, "hugepages-"), "kB"))
		if !ok {
			continue
		}
		unit := 0
		for kb >= 1024 && kb%1024 == 0 && unit < 2 {
			kb, unit = kb/1024, unit+1
		}
		list = append(list, strconv.FormatUint(kb, 10)+string("KMG"[unit])+"B")
	}
	slices.Sort(list)
	return list
}

// named asks for the devices that the limits name.
func (c *Control) named(r *specs.LinuxResources) {
	c.RDMA, c.Disks = map[string]bool{}, map[string]bool{}
	for name := range r.Rdma {
		c.RDMA[name] = plain(name) && exists("/sys/class/infiniband/"+name)
	}
	b := r.BlockIO
	if b == nil {
		return
	}
	disk := func(d specs.LinuxBlockIODevice) {
		n := strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
		c.Disks[n] = !exists("/sys/dev/block") || exists("/sys/dev/block/"+n)
	}
	for _, d := range b.WeightDevice {
		disk(d.LinuxBlockIODevice)
	}
	for _, list := range [][]specs.LinuxThrottleDevice{b.ThrottleReadBpsDevice, b.ThrottleWriteBpsDevice, b.ThrottleReadIOPSDevice, b.ThrottleWriteIOPSDevice} {
		for _, d := range list {
			disk(d.LinuxBlockIODevice)
		}
	}
}
