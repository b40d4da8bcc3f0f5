//go:build !linux

package main

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image/store"
)

// pruneLayers has nothing to do where no layer is unpacked.
func (a *app) pruneLayers(context.Context, *store.Store, []digest.Digest, time.Time, bool) ([]string, int64, error) {
	return []string{}, 0, nil
}

// sweepVolumes has nothing to sweep.
func (a *app) sweepVolumes(bool) error { return nil }
