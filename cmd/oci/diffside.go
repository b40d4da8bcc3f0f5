package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// containerPrefix names a container where an image could stand.
const containerPrefix = "container:"

// diffSide is one of the two that are compared: an image, or an open directory.
type diffSide struct {
	name  string
	image image.Image
	dir   *os.File    // nil of an image
	root  changedRoot // what is known of dir
	masks []string    // absolute paths that are not the side's own
}

func (d *diffSide) close() {
	if d != nil && d.dir != nil {
		d.dir.Close()
	}
}

// sameFiles tells that two images have the same layers.
func (d *diffSide) sameFiles(other *diffSide) bool {
	return d.dir == nil && other.dir == nil && slices.Equal(d.image.Config().RootFS.DiffIDs, other.image.Config().RootFS.DiffIDs)
}

// shared is how many of its lowest layers an image shares with another.
func (d *diffSide) shared(other *diffSide) int {
	a, b := d.image.Layers(), other.image.Layers()
	n := 0
	for n < min(len(a), len(b)) && a[n].DiffID == b[n].DiffID {
		n++
	}
	return n
}

// diffSides finds the two. What is open is given also with an error.
func (a *app) diffSides(ctx context.Context, cmd *cobra.Command, s *store.Store, args []string, f *diffFlags) (sides []*diffSide, err error) {
	for _, arg := range args {
		side, base, err := a.diffSide(ctx, cmd, s, arg, f)
		if side != nil {
			sides = append(sides, side)
		}
		if err != nil {
			return sides, err
		}
		if len(args) == 1 {
			if base == nil {
				return sides, &exitError{statusUsage, fmt.Errorf("%s: %w", oneLine(side.name), errNoImage)}
			}
			sides = []*diffSide{base, side}
		}
	}
	return sides, nil
}

// diffSide finds one side, and the image that a directory or container was made of if that is known.
func (a *app) diffSide(ctx context.Context, cmd *cobra.Command, s *store.Store, arg string, f *diffFlags) (side, base *diffSide, err error) {
	if isPath(arg) {
		return a.diffDir(cmd, s, arg, f)
	}
	if id, ok := strings.CutPrefix(arg, containerPrefix); ok {
		root, err := a.changedContainer(ctx, s, &repackFlags{container: id})
		if err != nil {
			return nil, nil, err
		}
		side = &diffSide{name: arg, dir: root.dir, root: root, masks: root.masks}
		return side, &diffSide{name: root.baseName, image: root.base}, nil
	}
	done, err := a.ensurePulled(ctx, s, arg, f.policy, f.t)
	if err != nil {
		return nil, nil, orDirectory(arg, err)
	}
	return &diffSide{name: done.Name, image: done.image}, nil, nil
}

// diffDir opens a directory, or the root file system of the bundle that it is.
func (a *app) diffDir(cmd *cobra.Command, s *store.Store, arg string, f *diffFlags) (side, base *diffSide, err error) {
	rootfs, err := rootfsOf(arg)
	if err != nil {
		return nil, nil, err
	}
	side = &diffSide{name: rootfs}
	if abs, err := filepath.Abs(rootfs); err == nil {
		side.name = abs
	}
	o, _, _, err := f.owner.options(a)
	if err != nil {
		return nil, nil, err
	}
	side.root.how = verify.How{UIDMap: o.UIDMap, GIDMap: o.GIDMap, SingleID: o.SingleID}
	if side.dir, err = os.Open(rootfs); err != nil || s == nil {
		return side, nil, err
	}
	rec, err := verify.OpenRecords(s.RecordsDir()).Find(side.dir)
	if errors.Is(err, verify.ErrNoRecord) || errors.Is(err, verify.ErrRecord) {
		return side, nil, nil // of another tool
	}
	if err != nil {
		return side, nil, err
	}
	if !ownersGiven(cmd) {
		side.root.how = rec.How
	}
	return side, &diffSide{name: rec.Name, image: rec.Image()}, nil
}

// layerLog opens the tar-split log of a layer that is unpacked in the store.
func layerLog(s *store.Store, layer image.Layer) (io.ReadCloser, error) {
	return os.Open(snapshot.LogPath(s.LayersDir(), layer.DiffID))
}
