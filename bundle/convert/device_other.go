//go:build !linux

package convert

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func hostDevices(_, _ string) ([]specs.LinuxDevice, error) { return nil, errors.ErrUnsupported }
