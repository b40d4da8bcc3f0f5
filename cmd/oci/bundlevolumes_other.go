//go:build !linux

package main

import (
	"context"

	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/image/store"
)

// supplyBundle supplies nothing: volumes are made on Linux. Those of an image stay directories of the root file system.
func (a *app) supplyBundle(context.Context, *store.Store, string, string, transferFlags, bundleLayout, *convert.Options) (done func(), err error) {
	return func() {}, nil
}
