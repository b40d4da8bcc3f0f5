//go:build !linux

package main

import (
	"errors"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/unpack"
)

func ownerHint(error) string { return "" }

func openTo(string, int) error { return errors.ErrUnsupported }

func (a *app) bindDevices([]unpack.Device) []specs.Mount { return nil }
