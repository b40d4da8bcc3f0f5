package host

import (
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/internal/program"
)

// Facts are what Judge knows of a machine and of the process that is to make the container. The zero value
// of a field that is no number means "unknown" where its comment says so, and nothing is found then.
type Facts struct {
	Bundle string // absolute path of the bundle, below which relative paths are; "" if there is none
	Kernel [2]int // release: 6, 18; zero: unknown
	Arch   string // as GOARCH: "amd64"

	Caller
	Modules
	Control Control

	// Namespaces are the types that the kernel has, with how many new ones are allowed
	// (/proc/sys/user/max_*_namespaces), -1 for any number. nil: unknown.
	Namespaces map[specs.LinuxNamespaceType]int
	// UsernsForbidden names the setting that keeps unprivileged users from user namespaces; "" for none.
	UsernsForbidden string
	// Monotonic and Boottime are the clocks that a time namespace shifts.
	Monotonic, Boottime time.Duration

	// Filesystems are the types of /proc/filesystems, and those of the config that a module brings. nil: unknown.
	Filesystems map[string]Filesystem
	// SetattrMissing: the kernel has no mount_setattr(2) (Linux 5.12).
	SetattrMissing bool
	// OptionRefused has, by index of mounts, the options that the file system does not know, as fsconfig(2) says.
	OptionRefused map[int][]string
	// ProcCovered: mounts lie over parts of /proc, so that a user namespace may mount none of its own.
	ProcCovered bool

	CPUs, Nodes   []Range                   // those online; nil: unknown
	NrOpen        uint64                    // fs.nr_open; 0: unknown
	Majors        map[string]map[int64]bool // drivers, by "c" and "b" (/proc/devices); nil: unknown
	Compat32      bool                      // programs for the 32-bit sibling of Arch run
	Formats       []Format                  // of binfmt_misc
	NUMAMissing   bool                      // the kernel has no set_mempolicy(2)
	UclampMissing bool                      // the kernel has no utilization clamping
	Resctrl       Resctrl

	// Files are those of the host that the config names, by their absolute path; Inside are those in the root
	// directory, by their path in it. A path that is not there is unknown.
	Files, Inside map[string]File
	// Sysctls tells of each that the config names whether it is there, by the name in the config.
	Sysctls map[string]bool
	// Interfaces tells of each network device that the config names whether it is there.
	Interfaces map[string]bool
	// UnknownCalls are names of system calls in the profile that no table knows.
	UnknownCalls map[string]bool
}

// Caller is the process that is to make the container.
type Caller struct {
	UID, GID            uint32
	Effective, Bounding uint64 // capabilities, a bit each
	LastCap             int    // the kernel's newest
	InUserNamespace     bool   // in one that is not the machine's first
	SetgroupsDenied     bool
	UIDs, GIDs          []Range           // mapped in its user namespace
	SubUIDs, SubGIDs    []Range           // given to the user in /etc/subuid and /etc/subgid
	MapHelpers          bool              // newuidmap and newgidmap are there
	Limits              map[string]uint64 // its hard limits, by RLIMIT_ name; what is absent is unknown
	Nice                int
	OOMScoreAdj         int
}

// Modules are the security modules.
type Modules struct {
	AppArmor, SELinux bool
	// Profiles of AppArmor that are loaded; nil: unknown.
	Profiles map[string]bool
	// LabelsRefused are labels of the config that SELinux's policy does not know.
	LabelsRefused map[string]bool

	SeccompMissing bool
	Actions        map[string]bool // as the kernel calls them: "errno"; nil: unknown
	FlagsRefused   map[specs.LinuxSeccompFlag]bool
}

// Control is what control groups there are.
type Control struct {
	// Version is "v1", "hybrid", "v2", "none"; "": unknown.
	Version string
	// Controllers has 1 or 2 for each: the hierarchy that it can be used in for a new group.
	Controllers map[string]int
	// Known are the files of the groups at hand, of both versions. Seen are the controllers of which a group
	// below the top was looked at: of those a file that is not known is not there.
	Known, Seen map[string]bool
	// Writable: the caller may make the container's group.
	Writable bool
	// Filter: the kernel has device filters for cgroup2 (BPF).
	Filter bool
	// CPUs and Mems are those that the group above the container's has; nil: unknown.
	CPUs, Mems []Range
	// PageSizes are those of huge pages, as "2MB"; nil: unknown.
	PageSizes []string
	// RDMA and Disks tell of each device that the config names whether it is there; disks by "8:0".
	RDMA, Disks map[string]bool
}

// Resctrl is the file system of Intel RDT.
type Resctrl struct {
	Mounted, Kernel bool            // whether it is mounted, and whether the kernel has it
	Info            map[string]bool // the resources: "L3", "MB", "L3_MON"
}

// Range is the numbers from First to Last. Lists of them are in order, and none touches the next.
type Range struct{ First, Last uint64 }

// Filesystem is a type that can be mounted.
type Filesystem struct {
	Device bool // it lies on a block device
	Module bool // it comes with a module that is not loaded yet
}

// Kind is what a file is.
type Kind string

// The kinds of files. The zero Kind is unknown.
const (
	Absent    Kind = "absent"
	Denied    Kind = "denied" // the caller may not look
	Hung      Kind = "hung"   // nothing answered
	Directory Kind = "directory"
	Regular   Kind = "file"
	Block     Kind = "block device"
	Char      Kind = "character device"
	FIFO      Kind = "FIFO"
	Socket    Kind = "socket"
	Namespace Kind = "namespace"
)

// File is what lies at a path, links followed.
type File struct {
	Kind   Kind
	Real   string    // of a path in the root directory: where links lead, as a path in it; "" if that is not known
	Mode   uint32    // permissions
	Owner  [2]uint32 // user and group, as the caller sees them
	Device [2]uint32
	FS     string // type of its file system where it matters: "ext4"; "" if unknown
	NoExec bool   // of a mount whose programs may not be run
	Frozen bool   // of a mount that is read-only
	// Type is that of a namespace; Own, that the caller is in it; Above, that a user namespace above the caller's owns it.
	Type    specs.LinuxNamespaceType
	Own     bool
	Above   bool
	Program *Program // of a regular file that is to be executed
}

// Program is how a file is executed.
type Program = program.Program

// Format is an enabled entry of binfmt_misc.
type Format struct {
	Offset      int
	Magic, Mask []byte // of the same length
	Extension   string // instead of Magic, without the dot
	Interpreter string
	Fixed       bool // the interpreter was opened when the entry was made
}
