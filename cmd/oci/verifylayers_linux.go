package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// proveUnpacked proves the directory of an unpacked layer, if the store has one.
func (a *app) proveUnpacked(ctx context.Context, s *store.Store, layer image.Layer, level verify.Level) (bool, error) {
	d := layer.DiffID
	if !exists(filepath.Join(s.LayersDir(), d.Algorithm().String(), d.Encoded())) {
		return false, nil
	}
	l, err := a.openLayers(s, nil)
	if err != nil {
		return true, err
	}
	if level == verify.Marker {
		if !l.Has(d) {
			err = &exitError{statusUnverified, errors.New("its directory in the store has no usable record: `oci check --repair` takes it away")}
		}
		return true, err
	}
	_, err = l.Check(ctx, d, level >= verify.Content)
	if errors.Is(err, snapshot.ErrChanged) {
		err = &exitError{statusUnverified, err}
	}
	return true, a.ignored(err, snapshot.ErrForm)
}
