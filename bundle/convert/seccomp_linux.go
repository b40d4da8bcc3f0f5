package convert

import (
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultSeccomp is Docker's profile for the capabilities of s, this kernel and this architecture.
func defaultSeccomp(s *specs.Spec) (*specs.LinuxSeccomp, error) { return seccomp.GetDefaultProfile(s) }

// loadSeccomp computes a profile in Docker's format: with archMap, includes, excludes, minKernel.
func loadSeccomp(body string, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	return seccomp.LoadProfile(body, s)
}
