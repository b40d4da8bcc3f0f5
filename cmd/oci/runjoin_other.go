//go:build !linux

package main

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// namespaceOf has nothing to join: there are no containers on this platform.
func (a *app) namespaceOf(string, specs.LinuxNamespaceType) (string, error) {
	return "", errors.ErrUnsupported
}
