package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/snapshot"
)

// checkLayers proves the unpacked layers. One that the store already has a problem with is not counted again.
func (a *app) checkLayers(ctx context.Context, s *store.Store, f checkFlags, found store.Report, r *checkReport) error {
	list := unpackedLayers(s)
	if len(list) == 0 {
		return nil
	}
	l, err := a.openLayers(s, nil)
	if err != nil {
		return err
	}
	for _, d := range list {
		rebuilt, err := l.Check(ctx, d, f.layers)
		if err != nil && !exists(filepath.Join(s.LayersDir(), d.Algorithm().String(), d.Encoded())) {
			continue // a prune took it meanwhile
		}
		known := slices.ContainsFunc(found.Problems, func(p store.Problem) bool {
			return p.Subject == "layers/"+d.Algorithm().String()+"/"+d.Encoded()
		})
		switch {
		case err == nil && !known:
			r.Layers++
			if rebuilt {
				r.Rebuilt++
			}
		case errors.Is(err, snapshot.ErrChanged), known:
			r.layers = append(r.layers, d)
			if !known {
				r.Problems = append(r.Problems, err.Error())
			}
		case errors.Is(err, snapshot.ErrForm):
			r.Notes = append(r.Notes, err.Error())
		default:
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// repairLayers takes changed layers away, unless a container has them.
func (a *app) repairLayers(s *store.Store, r *checkReport) error {
	if len(r.layers) == 0 {
		return nil
	}
	l, err := a.openLayers(s, nil)
	if err != nil {
		return err
	}
	used, err := layersInUse(s.ContainersDir())
	if err != nil {
		return err
	}
	for _, d := range r.layers {
		if slices.Contains(used, d) {
			r.Notes = append(r.Notes, d.String()+": not taken away, a container has it: `oci rm` the container first")
			continue
		}
		dropped, err := l.Drop(d)
		if err != nil {
			return err
		}
		if dropped {
			r.Repaired = append(r.Repaired, d.String())
		}
	}
	return nil
}
