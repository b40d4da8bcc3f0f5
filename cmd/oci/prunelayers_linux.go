package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image/store"
)

// sweepVolumes removes what killed processes left of volumes. Volumes themselves stay: `oci volume prune` removes some.
func (a *app) sweepVolumes(dryRun bool) error {
	if dryRun {
		return nil
	}
	s, err := a.openVolumes()
	if err != nil {
		return err
	}
	return s.Sweep()
}

// pruneLayers deletes the unpacked layers that neither an image (kept) nor a container has, and gives
// what they took on disk. What was unpacked since began is left alone: a run that has just begun may
// not have recorded it yet.
func (a *app) pruneLayers(ctx context.Context, s *store.Store, kept []digest.Digest, began time.Time, dryRun bool) (gone []string, bytes int64, err error) {
	gone = []string{}
	l, err := a.openLayers(s, nil)
	if err != nil {
		return gone, bytes, err
	}
	used, err := layersInUse(s.ContainersDir())
	if err != nil {
		return gone, bytes, err
	}
	kept = append(slices.Clone(kept), used...)
	keep := func(d digest.Digest) bool {
		if slices.Contains(kept, d) {
			return true
		}
		info, err := os.Stat(filepath.Join(s.LayersDir(), d.Algorithm().String(), d.Encoded()))
		return err != nil || info.ModTime().After(began)
	}
	if dryRun {
		all, err := l.List()
		for _, d := range all {
			if !keep(d) {
				gone = append(gone, d.String())
				bytes += l.Size(ctx, d)
			}
		}
		return gone, bytes, err
	}
	p, err := l.Prune(ctx, keep)
	for _, d := range p.Layers {
		gone = append(gone, d.String())
	}
	return gone, p.Bytes, err
}
