//go:build !linux

package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Probe is for Linux: its error is errors.ErrUnsupported.
func Probe(context.Context, *specs.Spec, string) (Facts, error) {
	return Facts{}, fmt.Errorf("look at the host: %w on %s: its kernel runs no Linux containers", errors.ErrUnsupported, runtime.GOOS)
}
