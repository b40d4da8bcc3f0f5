package main

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// statusDiffers is what `oci diff` ends with where the two are not the same, and statusTrouble where it
// could not tell and the table has nothing better than statusGeneral: as diff(1) and cmp(1) do it.
const (
	statusDiffers = 1
	statusTrouble = 2
)

// diffFlags are the flags of `oci diff`.
type diffFlags struct {
	t       transferFlags
	owner   ownerFlags
	policy  string
	paths   []string
	noTimes bool
	quick   bool
	config  bool
	format  formatFlag
}

func diffCommand(a *app) *cobra.Command {
	f := diffFlags{policy: pullMissing}
	cmd := &cobra.Command{
		Use:   "diff [flags] A [B]",
		Short: "Show how the files of two images or directories differ",
		Long: "Show how B differs from A. Each is an image (of which nothing is unpacked), a directory, if it begins with a\n" +
			"full stop or a slash, or container:ID, a container that has ended. Of a directory that `oci unpack` or\n" +
			"`oci bundle` made, or a container, B may be left out: it is compared with the image that it was made of.\n\n" +
			"Each path is a line that begins with A (added), D (removed) or C (changed), as those of docker diff, with what\n" +
			"is different: type, mode, owner, size, content, link, device, xattrs, hardlinks, time. The last line counts, and\n" +
			"tells how many of its lowest layers B shares with A. What is mounted in a directory is not looked into.\n\n" +
			"The status is 0 if nothing differs, 1 if something does, and more if that could not be told.",
		Example: "  oci diff debian:12.4 debian:12.5 --path /etc\n" +
			"  oci diff --config --quick app:1 app:2\n" +
			"  oci diff debian ./rootfs --no-times\n" +
			"  oci diff container:4f5a",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			same, err := a.diff(ctx, cmd, args, &f)
			switch {
			case err != nil && exitStatus(err) == statusGeneral:
				return &exitError{statusTrouble, err}
			case err == nil && !same:
				return &exitError{status: statusDiffers}
			}
			return err
		},
	}
	fs := cmd.Flags()
	f.t.register(fs)
	f.t.registerQuiet(fs)
	fs.StringArrayVar(&f.paths, "path", nil, "only what is at or below this `path`; may be repeated")
	fs.BoolVar(&f.noTimes, "no-times", false, "no modification times")
	fs.BoolVar(&f.quick, "quick", false, "files of the same size, time and attributes have the same content: nothing of the kind is read,\n"+
		"and no layer that is unpacked in the store")
	fs.BoolVar(&f.config, "config", false, "compare the configs of two images too")
	registerPull(cmd, &f.policy)
	f.owner.register(fs)
	a.registerLimits(fs)
	f.format.registerOutput(fs)
	return cmd
}

// diff compares, and tells what it found.
func (a *app) diff(ctx context.Context, cmd *cobra.Command, args []string, f *diffFlags) (same bool, err error) {
	s, err := a.diffStore(ctx, args, f)
	if err != nil {
		return false, err
	}
	if s != nil {
		defer s.Close()
		if f.policy != pullNever {
			hold, err := s.Hold(ctx)
			if err != nil {
				return false, err
			}
			defer hold.Release()
		}
	}
	sides, err := a.diffSides(ctx, cmd, s, args, f)
	defer func() {
		for _, side := range sides {
			side.close()
		}
	}()
	if err != nil {
		return false, err
	}
	r := newDiffed(sides)
	if f.config {
		if r.Config, err = diffConfigs(cmd, sides); err != nil {
			return false, err
		}
	}
	changes, err := a.diffTrees(ctx, s, sides, f)
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		r.add(c)
	}
	r.Same = len(r.Changes) == 0 && len(r.Config) == 0
	r.DurationMs, r.Warnings = time.Since(a.start).Milliseconds(), a.notes.list()
	switch {
	case f.format.json():
		err = f.format.write(a.out, r)
	case !f.t.quiet:
		err = r.write(a.out)
	}
	return r.Same, err
}

// diffStore opens the store: none if there is none and no image to be had from it.
func (a *app) diffStore(ctx context.Context, args []string, f *diffFlags) (*store.Store, error) {
	images := slices.ContainsFunc(args, func(arg string) bool { return !isPath(arg) })
	switch {
	case !images:
		return a.viewStore(ctx)
	case f.policy == pullNever:
		return a.existingStore(ctx, false)
	}
	return a.openStore(ctx)
}

// diffTrees compares the trees of two sides, which are made side by side.
func (a *app) diffTrees(ctx context.Context, s *store.Store, sides []*diffSide, f *diffFlags) ([]tree.Change, error) {
	if sides[0].sameFiles(sides[1]) {
		return nil, nil
	}
	var trees [2]*tree.Tree
	g, gctx := errgroup.WithContext(ctx)
	for i, side := range sides {
		g.Go(func() (err error) {
			trees[i], err = a.diffTree(gctx, s, side, f)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	changes := tree.Diff(trees[0], trees[1], tree.DiffOptions{Content: !f.quick, IgnoreTimes: f.noTimes})
	if sides[0].dir == nil && sides[1].dir != nil {
		root := &sides[1].root
		if rootless() || f.owner.devices == devicesSkip || f.owner.devices == devicesBind {
			root.how.LeftOut = append(usersLack(), root.how.LeftOut...)
		}
		changes = root.own(changes)
	}
	return slices.DeleteFunc(changes, func(c tree.Change) bool {
		return !beneathAny(c.Path, f.paths, true) || beneathAny(c.Path, sides[0].masks, false) || beneathAny(c.Path, sides[1].masks, false)
	}), nil
}

// diffTree gives the tree of a side.
func (a *app) diffTree(ctx context.Context, s *store.Store, side *diffSide, f *diffFlags) (*tree.Tree, error) {
	if side.dir != nil {
		o := a.treeOptions(side.root.how)
		o.Content = !f.quick
		return tree.OfDir(ctx, side.dir, o)
	}
	o := tree.Options{Content: !f.quick, Limits: a.limits, Devices: unpack.DeviceSkip, Logger: a.log}
	o.Logs = func(layer image.Layer) (io.ReadCloser, error) { return layerLog(s, layer) }
	return tree.OfLayers(ctx, side.image.Layers(), s, o)
}

// beneathAny tells whether a path of a tree is one of some absolute paths or below one; whether so if there are none is
// what none says.
func beneathAny(p string, list []string, none bool) bool {
	if len(list) == 0 {
		return none
	}
	return slices.ContainsFunc(list, func(prefix string) bool { return tree.Within(p, path.Clean("/" + prefix)[1:]) })
}

// errNoImage is a directory of which is not known what it was made of.
var errNoImage = errors.New("the image that it was made of is not known; name it")
