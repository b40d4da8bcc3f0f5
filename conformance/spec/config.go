package spec

// What a config.json owes to runtime-spec beyond what every runtime refuses: bundle.Judge cites these.
// Where the text has no word of RFC 2119, the level is that of config.md#valid-values for a value that no
// runtime can use, and SHOULD for one that has no effect.
var (
	ConfigExtensibility = Clause{"RS-CF1", May, "runtime-spec", "config.md#extensibility"}
	ConfigNewer         = Clause{"RS-CF2", May, "runtime-spec", "config.md#specification-version"}
	ConfigNull          = Clause{"RS-CF3", Should, "runtime-spec", "config.md#configuration"}
	ConfigSection       = Clause{"RS-CF4", May, "runtime-spec", "config.md#platform-specific-configuration"}
	ConfigWindows       = Clause{"RS-CF5", Must, "runtime-spec", "config.md#platform-specific-configuration"}
	RootName            = Clause{"RS-CF6", Should, "runtime-spec", "config.md#root"}
	RootWindows         = Clause{"RS-CF7", Must, "runtime-spec", "config.md#root"}
	MountAbsolute       = Clause{"RS-CF8", Must, "runtime-spec", "config.md#mounts"}
	MountNested         = Clause{"RS-CF9", Must, "runtime-spec", "config.md#mounts"}
	MountSource         = Clause{"RS-CF10", Must, "runtime-spec", "config.md#mounts"}
	MountContrary       = Clause{"RS-CF11", Should, "runtime-spec", "config.md#linux-mount-options"}
	MountDeprecated     = Clause{"RS-CF12", May, "runtime-spec", "config.md#linux-mount-options"}
	MountIDMapOption    = Clause{"RS-CF13", Should, "runtime-spec", "config.md#posix-platform-mounts"}
	MountType           = Clause{"RS-CF14", Should, "runtime-spec", "config.md#posix-platform-mounts"}
	ProcessConsole      = Clause{"RS-CF15", May, "runtime-spec", "config.md#process"}
	ProcessLinux        = Clause{"RS-CF16", Must, "runtime-spec", "config.md#linux-process"}
	ProcessUnused       = Clause{"RS-CF17", Should, "runtime-spec", "config.md#linux-process"}
	ProcessEnvOnce      = Clause{"RS-CF18", Should, "runtime-spec", "config.md#process"}
	ProcessOther        = Clause{"RS-CF19", May, "runtime-spec", "config.md#process"}
	CapabilitySets      = Clause{"RS-CF20", Should, "runtime-spec", "config.md#linux-process"}
	HostnameUTS         = Clause{"RS-CF21", Should, "runtime-spec", "config.md#hostname"}
	DomainnameUTS       = Clause{"RS-CF22", Should, "runtime-spec", "config.md#domainname"}
	HookPlatform        = Clause{"RS-CF23", Should, "runtime-spec", "config.md#posix-platform-hooks"}
	HookDeprecated      = Clause{"RS-CF24", May, "runtime-spec", "config.md#posix-platform-hooks"}
	AnnotationReserved  = Clause{"RS-CF25", Must, "runtime-spec", "config.md#annotations"}
	AnnotationName      = Clause{"RS-CF26", Should, "runtime-spec", "config.md#annotations"}
	// ProcessUserIDs is a SHOULD although the text says REQUIRED: the schema does not, and every runtime takes 0.
	ProcessUserIDs     = Clause{"RS-CF28", Should, "runtime-spec", "config.md#posix-platform-user"}
	ProcessConsoleSize = Clause{"RS-CF27", Must, "runtime-spec", "config.md#process"}
)

// The section linux.
var (
	LinuxFilesystems  = Clause{"RS-CL1", Should, "runtime-spec", "config-linux.md#default-filesystems"}
	LinuxMappingCount = Clause{"RS-CL2", May, "runtime-spec", "config-linux.md#user-namespace-mappings"}
	LinuxTimeUse      = Clause{"RS-CL3", Should, "runtime-spec", "config-linux.md#offset-for-time-namespace"}
	LinuxDeviceTwice  = Clause{"RS-CL4", Should, "runtime-spec", "config-linux.md#devices"}
	LinuxNetDevices   = Clause{"RS-CL5", Must, "runtime-spec", "config-linux.md#network-devices"}
	LinuxMemory       = Clause{"RS-CL6", Must, "runtime-spec", "config-linux.md#memory"}
	LinuxMemoryAdvice = Clause{"RS-CL7", Should, "runtime-spec", "config-linux.md#memory"}
	LinuxCPU          = Clause{"RS-CL8", Must, "runtime-spec", "config-linux.md#cpu"}
	LinuxHugePages    = Clause{"RS-CL9", Must, "runtime-spec", "config-linux.md#huge-page-limits"}
	LinuxNetwork      = Clause{"RS-CL10", Must, "runtime-spec", "config-linux.md#network"}
	LinuxPids         = Clause{"RS-CL11", Must, "runtime-spec", "config-linux.md#pids"}
	LinuxRdt          = Clause{"RS-CL12", Must, "runtime-spec", "config-linux.md#intelrdt"}
	LinuxRdtL3        = Clause{"RS-CL13", Should, "runtime-spec", "config-linux.md#intelrdt"}
	LinuxMemoryPolicy = Clause{"RS-CL14", Must, "runtime-spec", "config-linux.md#memory-policy"}
	LinuxSysctl       = Clause{"RS-CL15", Should, "runtime-spec", "config-linux.md#sysctl"}
	LinuxNotify       = Clause{"RS-CL16", Should, "runtime-spec", "config-linux.md#seccomp"}
	LinuxListener     = Clause{"RS-CL17", May, "runtime-spec", "config-linux.md#seccomp"}
	LinuxMountLabel   = Clause{"RS-CL18", Should, "runtime-spec", "config-linux.md#mount-label"}
	LinuxReadonly     = Clause{"RS-CL19", Must, "runtime-spec", "config-linux.md#readonly-paths"}
	LinuxDeviceMode   = Clause{"RS-CL20", Should, "runtime-spec", "config-linux.md#devices"}
	// LinuxDeviceNumber is a SHOULD for the same reason.
	LinuxPersonalityFlags = Clause{"RS-CL23", Should, "runtime-spec", "config-linux.md#personality"}
	LinuxDeviceNumber     = Clause{"RS-CL22", Should, "runtime-spec", "config-linux.md#devices"}
	LinuxRdma             = Clause{"RS-CL21", Must, "runtime-spec", "config-linux.md#rdma"}
)

// The sections of the other platforms.
var (
	WindowsLayers      = Clause{"RS-CW1", Must, "runtime-spec", "config-windows.md#layerfolders"}
	WindowsDevices     = Clause{"RS-CW2", Must, "runtime-spec", "config-windows.md#devices"}
	WindowsCPU         = Clause{"RS-CW3", Must, "runtime-spec", "config-windows.md#cpu"}
	WindowsNetwork     = Clause{"RS-CW4", Should, "runtime-spec", "config-windows.md#network"}
	WindowsCredentials = Clause{"RS-CW5", Must, "runtime-spec", "config-windows.md#credential-spec"}
	WindowsResources   = Clause{"RS-CW6", Must, "runtime-spec", "config-windows.md#resources"}
	WindowsHyperV      = Clause{"RS-CW7", Must, "runtime-spec", "config-windows.md#hyperv"}
	SolarisMilestone   = Clause{"RS-CS1", Should, "runtime-spec", "config-solaris.md#milestone"}
	SolarisLimits      = Clause{"RS-CS2", Must, "runtime-spec", "config-solaris.md#maxshmmemory"}
	SolarisCPU         = Clause{"RS-CS3", Must, "runtime-spec", "config-solaris.md#cappedcpu"}
	SolarisMemory      = Clause{"RS-CS4", Must, "runtime-spec", "config-solaris.md#cappedmemory"}
	SolarisAnet        = Clause{"RS-CS5", Must, "runtime-spec", "config-solaris.md#automatic-network-anet"}
	VMHypervisor       = Clause{"RS-CM1", Must, "runtime-spec", "config-vm.md#hypervisor-object"}
	VMKernel           = Clause{"RS-CM2", Must, "runtime-spec", "config-vm.md#kernel-object"}
	VMImage            = Clause{"RS-CM3", Must, "runtime-spec", "config-vm.md#image-object"}
	VMHardware         = Clause{"RS-CM4", Must, "runtime-spec", "config-vm.md#hwconfig-object"}
	FreeBSDDevfs       = Clause{"RS-CB1", Should, "runtime-spec", "config-freebsd.md#devices"}
	FreeBSDDevices     = Clause{"RS-CB2", Must, "runtime-spec", "config-freebsd.md#devices"}
	FreeBSDJail        = Clause{"RS-CB3", Must, "runtime-spec", "config-freebsd.md#jail"}
	FreeBSDNetwork     = Clause{"RS-CB4", Should, "runtime-spec", "config-freebsd.md#jail"}
	ZOSFilesystems     = Clause{"RS-CZ1", Should, "runtime-spec", "config-zos.md"}
	ZOSNamespaces      = Clause{"RS-CZ2", Must, "runtime-spec", "config-zos.md#namespaces"}
)
