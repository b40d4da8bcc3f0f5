//go:build !linux

package convert

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The rules depend on a Linux kernel.

func defaultSeccomp(*specs.Spec) (*specs.LinuxSeccomp, error) {
	return nil, fmt.Errorf("seccomp: %w", errors.ErrUnsupported)
}

func loadSeccomp(string, *specs.Spec) (*specs.LinuxSeccomp, error) {
	return nil, fmt.Errorf("seccomp: %w", errors.ErrUnsupported)
}
