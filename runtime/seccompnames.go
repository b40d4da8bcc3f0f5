package runtime

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/runtime/internal/seccomp"
)

// UnknownCalls are the names in a seccomp profile that no supported architecture has as a system call: rules for them are left out. None of
// a profile that cannot be compiled.
func UnknownCalls(p *specs.LinuxSeccomp) []string {
	if p == nil {
		return nil
	}
	prog, err := seccomp.Compile(p, seccomp.Native())
	if err != nil {
		return nil
	}
	return prog.Unknown
}
