//go:build !linux

package convert

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func hostRlimits() ([]specs.POSIXRlimit, error) { return nil, errors.ErrUnsupported }
