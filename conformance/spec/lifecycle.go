package spec

// Clauses of the runtime specification on configuration and lifecycle.
var (
	NamespaceOnce         = Clause{"RS-NS1", Must, "runtime-spec", "config-linux.md#namespaces"}
	NamespacePathAbsolute = Clause{"RS-NS2", Must, "runtime-spec", "config-linux.md#namespaces"}
	RlimitOnce            = Clause{"RS-PR1", Must, "runtime-spec", "config.md#posix-process"}
	ProcessArgs           = Clause{"RS-PR2", Must, "runtime-spec", "config.md#process"}
	ProcessEnv            = Clause{"RS-PR3", Must, "runtime-spec", "config.md#process"}
	CreateUniqueID        = Clause{"RS-LC1", Must, "runtime-spec", "runtime.md#create"}
	StartCreatedOnly      = Clause{"RS-LC2", Must, "runtime-spec", "runtime.md#start"}
	KillRunningOnly       = Clause{"RS-LC3", Must, "runtime-spec", "runtime.md#kill"}
	DeleteStoppedOnly     = Clause{"RS-LC4", Must, "runtime-spec", "runtime.md#delete"}
	StateUnknown          = Clause{"RS-LC5", Must, "runtime-spec", "runtime.md#query-state"}
	HookFailure           = Clause{"RS-HK1", Must, "runtime-spec", "config.md#posix-platform-hooks"}
)
