package spec

// The duties of a runtime to the mounts of a container (runtime-spec config.md).
var (
	// MountIDMap: an idmap without mappings is an error in a container without a user namespace.
	MountIDMap = Clause{ID: "RS-MT1", Level: Must, Spec: "runtime-spec", Section: "config.md#linux-mount-options"}
	// MountIDMappings: a mount has uidMappings and gidMappings, or neither.
	MountIDMappings = Clause{ID: "RS-MT2", Level: Must, Spec: "runtime-spec", Section: "config.md#posix-platform-mounts"}
	// MountOptions: the options that a runtime knows for Linux.
	MountOptions = Clause{ID: "RS-MT3", Level: Must, Spec: "runtime-spec", Section: "config.md#linux-mount-options"}
)
