//go:build !linux

package main

import (
	"context"

	"github.com/oci-pipeline/oci/image/store"
)

// checkLayers has nothing to prove where no layer is unpacked.
func (a *app) checkLayers(context.Context, *store.Store, checkFlags, store.Report, *checkReport) error {
	return nil
}

// repairLayers has nothing to repair there.
func (a *app) repairLayers(*store.Store, *checkReport) error { return nil }
