//go:build !linux

package main

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/unpack"
)

func ownerHint(error) string { return "" }

func (a *app) bindDevices([]unpack.Device) []specs.Mount { return nil }
