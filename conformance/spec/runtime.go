package spec

// Clauses of the runtime specification on seccomp.
var (
	RuntimeSeccompAction   = Clause{"RS-SC1", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompErrno    = Clause{"RS-SC2", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompArch     = Clause{"RS-SC3", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompFlags    = Clause{"RS-SC4", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompNames    = Clause{"RS-SC5", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompOperator = Clause{"RS-SC6", Must, "runtime-spec", "config-linux.md#seccomp"}
	RuntimeSeccompMetadata = Clause{"RS-SC7", Must, "runtime-spec", "config-linux.md#seccomp"}
)
