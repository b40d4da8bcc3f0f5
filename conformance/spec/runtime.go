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

// Clauses of the runtime specification on control groups.
var (
	RuntimeCgroupsPath = Clause{"RS-CG1", Must, "runtime-spec", "config-linux.md#cgroups-path"}
	RuntimeDeviceRules = Clause{"RS-CG2", Must, "runtime-spec", "config-linux.md#allowed-device-list"}
	RuntimeMemoryCheck = Clause{"RS-CG3", Must, "runtime-spec", "config-linux.md#memory"}
	RuntimeUnified     = Clause{"RS-CG4", Must, "runtime-spec", "config-linux.md#unified"}
	RuntimeConversion  = Clause{"RS-CG5", Must, "runtime-spec", "config-linux.md#unified"}
	RuntimeBlockWeight = Clause{"RS-CG6", Must, "runtime-spec", "config-linux.md#block-io"}
	RuntimeRdmaEntry   = Clause{"RS-CG7", Must, "runtime-spec", "config-linux.md#rdma"}
	RuntimePidsZero    = Clause{"RS-CG8", Should, "runtime-spec", "config-linux.md#pids"}
	RuntimeCgroupOwner = Clause{"RS-CG9", Should, "runtime-spec", "config-linux.md#cgroup-ownership"}
)
