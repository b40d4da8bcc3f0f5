package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Features is the seccomp part of the features document. SupportedFlags equals KnownFlags: which
// flags the running kernel takes is not asked.
func Features() *features.Seccomp {
	enabled := true
	f := &features.Seccomp{
		Enabled: &enabled,
		Actions: []string{
			string(specs.ActAllow), string(specs.ActErrno), string(specs.ActKill), string(specs.ActKillProcess),
			string(specs.ActKillThread), string(specs.ActLog), string(specs.ActNotify), string(specs.ActTrace), string(specs.ActTrap),
		},
		Operators: []string{
			string(specs.OpEqualTo), string(specs.OpGreaterEqual), string(specs.OpGreaterThan), string(specs.OpLessEqual),
			string(specs.OpLessThan), string(specs.OpMaskedEqual), string(specs.OpNotEqual),
		},
		KnownFlags: []string{
			"SECCOMP_FILTER_FLAG_TSYNC", string(specs.LinuxSeccompFlagLog), string(specs.LinuxSeccompFlagSpecAllow),
			string(specs.LinuxSeccompFlagWaitKillableRecv),
		},
	}
	f.SupportedFlags = f.KnownFlags
	for _, a := range architectures {
		if a.row >= 0 {
			f.Archs = append(f.Archs, string(a.name))
		}
	}
	return f
}
