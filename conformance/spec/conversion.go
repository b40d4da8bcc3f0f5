package spec

// The duties of a converter from an image config to a runtime config (image-spec conversion.md).
var (
	// ConversionVerbatim: cwd, env and args are taken as they are; Cmd is appended to Entrypoint.
	ConversionVerbatim = Clause{ID: "IS-V1", Level: Must, Spec: "image-spec", Section: "conversion.md#verbatim-fields"}
	// ConversionAnnotations: the implicit annotations, and the labels that win over them.
	ConversionAnnotations = Clause{ID: "IS-V2", Level: Must, Spec: "image-spec", Section: "conversion.md#annotation-fields"}
	// ConversionUser: a user that the container does not know is an error.
	ConversionUser = Clause{ID: "IS-V3", Level: Must, Spec: "image-spec", Section: "conversion.md#configuser"}
	// ConversionVolumes: Config.Volumes become mounts; Config.ExposedPorts an annotation.
	ConversionVolumes = Clause{ID: "IS-V4", Level: Should, Spec: "image-spec", Section: "conversion.md#optional-fields"}
	// ConversionImmutable: annotations that the image has are neither changed nor left out. A label
	// that a runtime would act on (CVE-2026-53488, CVE-2026-53492) is therefore refused, unless the
	// user says what to do with it (H-84).
	ConversionImmutable = Clause{ID: "IS-V5", Level: Must, Spec: "image-spec", Section: "conversion.md#annotations"}
)

// The duties of a bundle (runtime-spec bundle.md, config.md, config-linux.md).
var (
	BundleConfigFile   = Clause{ID: "RS-B1", Level: Must, Spec: "runtime-spec", Section: "bundle.md#file-system-bundle"}
	BundleJSON         = Clause{ID: "RS-B2", Level: Must, Spec: "runtime-spec", Section: "config.md#configuration"}
	BundleVersion      = Clause{ID: "RS-B3", Level: Must, Spec: "runtime-spec", Section: "config.md#specification-version"}
	BundleRoot         = Clause{ID: "RS-B4", Level: Must, Spec: "runtime-spec", Section: "config.md#root"}
	BundleMounts       = Clause{ID: "RS-B5", Level: Must, Spec: "runtime-spec", Section: "config.md#mounts"}
	BundleMountDest    = Clause{ID: "RS-B6", Level: Should, Spec: "runtime-spec", Section: "config.md#mounts"}
	BundleProcess      = Clause{ID: "RS-B7", Level: Must, Spec: "runtime-spec", Section: "config.md#process"}
	BundleEnv          = Clause{ID: "RS-B8", Level: Should, Spec: "runtime-spec", Section: "config.md#posix-process"}
	BundleRlimits      = Clause{ID: "RS-B9", Level: Must, Spec: "runtime-spec", Section: "config.md#posix-process"}
	BundleCapabilities = Clause{ID: "RS-B10", Level: Should, Spec: "runtime-spec", Section: "config.md#linux-process"}
	BundleUser         = Clause{ID: "RS-B11", Level: Must, Spec: "runtime-spec", Section: "config.md#user"}
	BundleHooks        = Clause{ID: "RS-B13", Level: Must, Spec: "runtime-spec", Section: "config.md#posix-platform-hooks"}
	BundleAnnotations  = Clause{ID: "RS-B14", Level: Must, Spec: "runtime-spec", Section: "config.md#annotations"}
	BundleNamespaces   = Clause{ID: "RS-B15", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#namespaces"}
	BundleIDMappings   = Clause{ID: "RS-B16", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#user-namespace-mappings"}
	// BundleIDMappingsUse is no requirement in the text: mappings without a user namespace have no meaning.
	BundleIDMappingsUse = Clause{ID: "RS-B26", Level: Should, Spec: "runtime-spec", Section: "config-linux.md#user-namespace-mappings"}
	BundleTimeOffsets   = Clause{ID: "RS-B17", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#offset-for-time-namespace"}
	BundleDevices       = Clause{ID: "RS-B18", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#devices"}
	BundleDeviceRules   = Clause{ID: "RS-B19", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#allowed-device-list"}
	BundleResources     = Clause{ID: "RS-B20", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#control-groups"}
	BundleBlockIO       = Clause{ID: "RS-B21", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#block-io"}
	BundleSeccomp       = Clause{ID: "RS-B22", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#seccomp"}
	BundlePropagation   = Clause{ID: "RS-B23", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#rootfs-mount-propagation"}
	BundlePaths         = Clause{ID: "RS-B24", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#masked-paths"}
	BundlePersonality   = Clause{ID: "RS-B25", Level: Must, Spec: "runtime-spec", Section: "config-linux.md#personality"}
)
