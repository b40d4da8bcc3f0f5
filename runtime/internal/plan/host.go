//go:build linux

package plan

// Host is what compiling needs to know about the machine and about the process that will start
// the plan. It is data, so that a plan can be compiled for another machine than this one.
type Host struct {
	// LastCap is the number of the newest capability (/proc/sys/kernel/cap_last_cap).
	LastCap int
	// Held are the capabilities that the creator can give: its bounding set, a bit each.
	Held uint64
	// InUserNamespace: not all ids are mapped here, so device nodes cannot be made.
	InUserNamespace bool
	// SetgroupsDenied: /proc/self/setgroups says "deny", so setgroups(2) is refused.
	SetgroupsDenied bool
	// CgroupV2 means that /sys/fs/cgroup is one cgroup2 hierarchy.
	CgroupV2 bool
	// Hierarchies are the cgroup v1 hierarchies, in the order of /proc/self/mountinfo.
	Hierarchies []Hierarchy
	// AppArmor and SELinux tell whether the module is on.
	AppArmor, SELinux bool
	// Kind tells what lies at a path of the host: the source of a bind mount, which decides whether its destination is a
	// directory or a file. Required when the configuration has bind mounts.
	Kind func(path string) (FileKind, error)
	// Resolve follows the symbolic links of a path below the root file system, also those that lead to nothing, and returns a path below
	// it. It only says where to make what is missing: the kernel resolves the path again. nil leaves paths as they are.
	Resolve func(dest string) string
	// Own tells whether a file of a namespace is the creator's own. nil takes none for it.
	Own func(path string) bool
}

// Hierarchy is a mounted cgroup v1 hierarchy.
type Hierarchy struct {
	Name string // the last element of its mount point: "memory", "cpu,cpuacct", "systemd"
	Data string // what mounts it: "memory", "cpu,cpuacct", "name=systemd"
	Path string // the container's cgroup in it, as a path of the host, for a bind mount
}

// FileKind is the kind of a file, as far as mounting is concerned.
type FileKind uint8

// The kinds of file.
const (
	Directory FileKind = iota + 1
	NotDirectory
)
