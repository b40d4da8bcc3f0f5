package convert

import "github.com/opencontainers/runtime-spec/specs-go"

// LabelPolicy says what becomes of labels of the image that some runtime acts on: those that
// UnsafeLabel names.
type LabelPolicy int

const (
	// RefuseUnsafe makes them an error: right for a bundle that any runtime may run.
	RefuseUnsafe LabelPolicy = iota
	// AllowUnsafe copies them like all others, as conversion.md asks: right for this project's own
	// runtime, which acts on no annotation, or where the image is trusted.
	AllowUnsafe
	// DropUnsafe leaves them out.
	DropUnsafe
)

// Options are what the user and the caller ask for on top of the image. The zero value converts
// the image with the defaults. Strings have the syntax of Docker's flag of the same name; a bad
// one is a *UsageError that names the flag.
type Options struct {
	// The process.

	Args       []string // replaces Config.Cmd if not empty
	Entrypoint []string // nil: the image's. Not nil: replaces it, and Config.Cmd is not used (--entrypoint; see ParseEntrypoint)
	EnvFile    []string // lines of --env-file: NAME=value, NAME, # comment
	Env        []string // NAME=value; or NAME, to take it from LookupEnv or else remove it
	LookupEnv  func(name string) (string, bool)
	Workdir    string
	User       string // replaces Config.User
	GroupAdd   []string
	// NumericGroups gives a numeric user the supplementary groups of its entry in /etc/passwd, as
	// image-spec config.md says and Docker does; conversion.md says not to.
	NumericGroups bool
	Terminal      bool // -t
	StopSignal    string
	OOMScoreAdj   *int
	Ulimits       []string // nofile=1024[:4096], or host

	// Files.

	Root     string // root.path; "" is "rootfs"
	ReadOnly bool   // root.readonly
	// ReadOnlyTmpfs makes a tmpfs of /run, /tmp and /var/tmp with ReadOnly, where nothing else is mounted, as podman does.
	ReadOnlyTmpfs bool
	Tmpfs         []string
	Mounts        []string // --mount type=bind,source=/a,target=/b,readonly
	Volumes       []string // --volume [SOURCE:]DESTINATION[:OPTIONS]
	// VolumeDir supplies the directory of a volume: of a named one, or of one without a name
	// (Config.Volumes, --volume /dst), filled from the image if it is new. It is a path of the host, or one relative to
	// the bundle. Nil: volumes of the image stay directories of the root file system, and --volume with a name is an error.
	VolumeDir   func(Volume) (string, error)
	VolumesFrom []string // --volumes-from CONTAINER[:ro|rw]
	// MountsOf gives the volumes and directories of the host that a container has mounted, for --volumes-from. Nil: that is an error.
	MountsOf func(container string) ([]specs.Mount, error)
	// ImageDir supplies the directory of the files of an image, likewise. Nil: --mount type=image is an error.
	ImageDir func(ImageMount) (string, error)
	// OverlayDir supplies a directory that shows a source of the host, with what the container changes kept apart: the O of --volume.
	// Nil: that is an error.
	OverlayDir func(OverlayMount) (string, error)
	// Chown gives a file or directory of the host, and all below it, to an owner: the U of --volume and --mount. It is called last,
	// when the config is made. Nil: U is an error.
	Chown func(path string, uid, gid uint32) error
	// SpecMounts are mounts that the caller has made up itself (resolv.conf, hosts); a mount of the
	// user at the same destination wins.
	SpecMounts []specs.Mount
	Devices    []string // --device HOST[:CONTAINER][:rwm], or VENDOR/CLASS=NAME of a CDI file
	ShmSize    string

	// Isolation.

	Hostname   string
	Domainname string
	// Of each kind of namespace also "host"; "ns:PATH"; and "container:ID", that of another container.
	Network  string // "" or "none" or "private": a new namespace
	PID      string // "" or "private"
	IPC      string // "" or "private" or "shareable"; "none": no /dev/shm
	UTS      string // "" or "private"
	Cgroupns string // "": private where the kernel can; "private"
	Userns   string // "" is the host's; "private", with the mappings below
	// NamespaceOf gives the path of a namespace of a container that runs. Nil: container:ID is an error.
	NamespaceOf func(container string, kind specs.LinuxNamespaceType) (string, error)

	// The ids of the new user namespace; given without Userns they ask for one. With Userns "host"
	// they tell which ids the namespace has that the caller stands in, and nothing is written.
	UIDMappings []specs.LinuxIDMapping
	GIDMappings []specs.LinuxIDMapping
	// Rootless says that the runtime acts without root on the host. With mappings the config gets
	// a user namespace (unless Userns is "host"); without, the caller stands in one already, in
	// which id 0 alone is mapped.
	// There are then no device rules and no cgroup limits (unless CgroupsPath names a cgroup that
	// was delegated), no group 5 on /dev/pts, and bind mounts where the kernel mounts nothing new.
	Rootless bool

	CapAdd       []string
	CapDrop      []string
	Privileged   bool
	SecurityOpts []string // seccomp=unconfined|builtin|FILE, no-new-privileges[=BOOL], apparmor=PROFILE, mask=PATHS, unmask=PATHS|ALL, systempaths=unconfined, label=..., proc-opts=OPTIONS
	Sysctls      []string // NAME=value

	// HooksDirs are directories of hooks in podman's format, of which those that fit the container are added (--hooks-dir; see
	// package bundle/hooks). A file of a later directory stands for one of the same name before it.
	HooksDirs []string
	// Init runs a process before the program that hands signals on to it and reaps orphans (package bundle/pid1). InitPath takes a static
	// program of the host for it, and implies it. InitFile writes the init and gives its path, on the host or relative to the bundle;
	// nil: Init alone is an error.
	Init     bool
	InitPath string
	InitFile func(program []byte) (string, error)
	// CDISpecDirs are the directories of the files in which devices are described (package bundle/cdi); nil: cdi.DefaultDirs. They are
	// read only if a device is asked for by such a name.
	CDISpecDirs []string
	GPUs        []string // --gpus all, N, device=NAME: CDI devices of the kind nvidia.com/gpu

	// Resources.

	CgroupsPath  string
	CgroupParent string // the cgroup is ContainerID below it
	ContainerID  string // "" if it is not known

	Memory            string // bytes, or with a suffix: 512m
	MemorySwap        string // memory and swap together; "-1" is no limit
	MemoryReservation string
	MemorySwappiness  *int64 // 0 to 100; -1 is the kernel's
	OOMKillDisable    bool
	CPUs              string // 1.5
	CPUShares         uint64
	CPUPeriod         uint64 // microseconds, as the next ones; 0: unset
	CPUQuota          int64
	CPURTPeriod       uint64
	CPURTRuntime      int64
	CpusetCpus        string
	CpusetMems        string
	PidsLimit         int64    // 0 or -1: none
	CgroupConf        []string // FILE=value of cgroup v2

	BlkioWeight        uint16   // 10 to 1000; 0: unset
	BlkioWeightDevices []string // /dev/sda:200
	DeviceReadBps      []string // /dev/sda:1m
	DeviceWriteBps     []string
	DeviceReadIOps     []string // /dev/sda:1000
	DeviceWriteIOps    []string
	DeviceCgroupRules  []string // c 189:* rwm

	// Annotations.

	Annotations []string    // NAME=value; wins over everything
	Labels      []string    // NAME[=value]; wins over the image's labels
	ImageLabels LabelPolicy // what becomes of unsafe labels of the image

	Host *Host // nil: ask the machine
}

// Host is what a config depends on besides the image and the user.
type Host struct {
	CgroupV2          bool     // /sys/fs/cgroup is a cgroup v2 mount
	SELinux           bool     // it is on
	CgroupNamespaces  bool     // the kernel has cgroup namespaces
	SwapLimit         bool     // swap can be limited
	LastCapability    int      // the highest number the kernel knows; 0 is "all of capabilities(7)"
	Capabilities      uint64   // a bit for each that the caller has itself and can hand on; 0 is all
	Mqueue            bool     // the host has a /dev/mqueue that can be shown in the container
	UnprivilegedPorts bool     // the kernel has net.ipv4.ip_unprivileged_port_start
	ThermalThrottle   []string // directories with counters that tell about the load of other containers
}
