package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/tree"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// changedRoot is a root file system that was changed, and the image that it was made from.
type changedRoot struct {
	dir      *os.File // open
	base     image.Image
	baseName string
	masks    []string       // what of it is not the image's business
	how      verify.How     // it was unpacked
	mapped   bool           // what it shows of the image are mounts with the maps
	record   *verify.Record // of the unpacking; nil if there is none
}

// treeOptions are those of a tree that was unpacked in some way.
func (a *app) treeOptions(how verify.How) tree.DirOptions {
	limits := a.limits.WithDefaults()
	return tree.DirOptions{
		UIDMap: how.UIDMap, GIDMap: how.GIDMap, SingleID: how.SingleID,
		Entries: limits.Entries, Depth: limits.Depth, FileBytes: limits.FileBytes, Logger: a.log,
	}
}

// repack makes an image of the changes in a directory or a container. All checks of flags come first, and
// the name last: whatever happens between, the store is as it was, but for content that prune collects.
func (a *app) repack(ctx context.Context, cmd *cobra.Command, args []string, f *repackFlags) (done repacked, err error) {
	name, err := f.destination(cmd, args[len(args)-1])
	if err != nil {
		return done, err
	}
	created, epoch, err := f.times()
	if err != nil {
		return done, err
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return done, err
	}
	defer s.Close()
	hold, err := s.Hold(ctx) // base and new layer, until the name keeps them
	if err != nil {
		return done, err
	}
	defer hold.Release()
	root, err := a.changed(ctx, s, args[0], f)
	if err != nil {
		return done, err
	}
	defer root.dir.Close()
	o, err := f.options(root.base, epoch)
	if err != nil {
		return done, err
	}
	img := f.newImage(root.base, root.baseName, created)
	if _, err := img.Build(); err != nil { // the changes of the config, before the work
		return done, err
	}
	plan, err := a.planLayer(ctx, s, root, f)
	if err != nil {
		return done, err
	}
	done.Base, done.Changes = root.base.Descriptor().Digest.String(), plan.Changes()
	if plan.Changes() > 0 || f.squash {
		if img.Layer, err = writeLayer(ctx, s, plan, root.dir, o); err != nil {
			return done, err
		}
		d := img.Layer.Descriptor
		done.Layer = &movedLayer{d.MediaType, d.Digest.String(), d.Size, img.Layer.DiffID.String()}
	}
	made, err := img.Build()
	if err != nil {
		return done, err
	}
	done.named(name, made.Descriptor())
	done.describe(made)
	return done, putImage(ctx, s, name, made)
}

// changed opens the root file system of a directory or a container.
func (a *app) changed(ctx context.Context, s *store.Store, arg string, f *repackFlags) (root changedRoot, err error) {
	if f.container != "" {
		root, err = a.changedContainer(ctx, s, f)
	} else {
		root, err = a.changedDir(ctx, s, arg, f)
	}
	if err != nil {
		return root, err
	}
	root.masks = append(root.masks, f.masks...)
	if !f.noVolumes {
		root.masks = append(root.masks, slices.Collect(maps.Keys(root.base.Config().Config.Volumes))...)
	}
	root.masks = slices.DeleteFunc(root.masks, func(m string) bool { return strings.Trim(m, "/") == "" })
	return root, nil
}

// changedDir opens DIR, or the root file system of the bundle that it is, and finds out what it was unpacked
// from: by its record, unless flags say it.
func (a *app) changedDir(ctx context.Context, s *store.Store, dir string, f *repackFlags) (root changedRoot, err error) {
	rootfs, err := rootfsOf(dir)
	if err != nil {
		return root, err
	}
	if root.dir, err = os.Open(rootfs); err != nil {
		return root, err
	}
	if f.base == "" {
		err = root.recorded(s, dir, f)
	} else {
		err = a.basedOn(ctx, s, &root, f)
	}
	if err == nil {
		err = present(ctx, s, root.base, root.baseName)
	}
	if err != nil {
		root.dir.Close()
	}
	return root, err
}

// recorded takes what the record of the unpacking says.
func (r *changedRoot) recorded(s *store.Store, dir string, f *repackFlags) error {
	rec, err := verify.OpenRecords(s.RecordsDir()).Find(r.dir)
	if errors.Is(err, verify.ErrNoRecord) {
		return usageErrorf(nil, "%s: this program has not unpacked it here: --base says what it was unpacked from", dir)
	}
	if err != nil {
		return err
	}
	if len(f.maps.uids)+len(f.maps.gids) > 0 {
		return usageErrorf(nil, "--uid-map and --gid-map are known of %s", dir)
	}
	r.base, r.baseName, r.record, r.how = rec.Image(), rec.Name, rec, rec.How
	return nil
}

// basedOn takes what flags say of a directory that something else has unpacked, or that was copied.
func (a *app) basedOn(ctx context.Context, s *store.Store, r *changedRoot, f *repackFlags) error {
	uids, gids, err := f.maps.maps()
	if err != nil {
		return err
	}
	r.how = verify.How{UIDMap: uids, GIDMap: gids, SingleID: singleID()}
	if rootless() {
		r.how.LeftOut = usersLack()
	}
	base, err := a.ensurePulled(ctx, s, f.base, f.policy, f.t)
	r.base, r.baseName = base.image, base.Name
	return err
}

// present wants all of the base in the store: the new image has its layers.
func present(ctx context.Context, s *store.Store, base image.Image, name string) error {
	for _, l := range base.Layers() {
		if ok, err := s.Has(ctx, l.Descriptor); err != nil {
			return err
		} else if !ok && !image.IsForeign(l.Descriptor.MediaType) {
			return fmt.Errorf("%s: the base %s has it, and the store no longer: %w", l.Descriptor.Digest, name, store.ErrNotFound)
		}
	}
	return nil
}

// rootfsOf gives the root file system that dir is, or that is in it if it is a bundle.
func rootfsOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &exitError{statusNotFound, fmt.Errorf("%s: it is no directory", dir)}
	}
	if err != nil {
		return "", err
	}
	inner, err := os.Lstat(filepath.Join(dir, rootfsDir))
	config, errConfig := os.Lstat(filepath.Join(dir, bundle.ConfigName))
	if err != nil || errConfig != nil || !inner.IsDir() || !config.Mode().IsRegular() {
		return dir, nil
	}
	return filepath.Join(dir, rootfsDir), nil
}

// planLayer compares the image with the directory.
func (a *app) planLayer(ctx context.Context, s *store.Store, root changedRoot, f *repackFlags) (*repack.Plan, error) {
	before, after, changes, err := a.changesByLog(ctx, root, f)
	if err == nil && before == nil {
		before, after, changes, err = a.changesByBlob(ctx, s, root)
	}
	if err != nil {
		return nil, err
	}
	if f.squash {
		changes = a.squashed(root, before, after, changes)
		return repack.NewPlan(tree.New(), after, changes, repack.PlanOptions{Logger: a.log})
	}
	return repack.NewPlan(before, after, root.own(changes), repack.PlanOptions{Masks: root.masks, Logger: a.log})
}

// changesByBlob reads every layer of the image, and every file of the directory, side by side.
func (a *app) changesByBlob(ctx context.Context, s *store.Store, root changedRoot) (before, after *tree.Tree, changes []tree.Change, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		before, err = tree.OfLayers(ctx, root.base.Layers(), s, tree.Options{
			Content: true, Limits: a.limits, Devices: unpack.DeviceSkip,
		})
		return err
	})
	g.Go(func() (err error) {
		o := a.treeOptions(root.how)
		o.Content = true
		after, err = tree.OfDir(ctx, root.dir, o)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, nil, nil, err
	}
	return before, after, tree.Diff(before, after, tree.DiffOptions{Content: true}), nil
}

// changesByLog does the same for a directory with a record: the logs of its layers tell all that the blobs do, and
// nothing is inflated. before is nil if they do not.
func (a *app) changesByLog(ctx context.Context, root changedRoot, f *repackFlags) (before, after *tree.Tree, changes []tree.Change, err error) {
	if root.record == nil || f.squash {
		return nil, nil, nil, nil
	}
	var sums repack.Sums
	layers := root.base.Layers()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		sums, err = repack.ReadSums(gctx, layers, root.record.Log, a.limits)
		if err == nil {
			before, err = tree.OfLayers(gctx, layers, nil, tree.Options{Limits: a.limits, Devices: unpack.DeviceSkip, Logs: root.record.Log})
		}
		return err
	})
	g.Go(func() (err error) {
		after, err = tree.OfDir(gctx, root.dir, a.treeOptions(root.how))
		return err
	})
	if err := g.Wait(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil // a log is missing
	} else if err != nil {
		return nil, nil, nil, err
	}
	changes, known, err := sums.Diff(ctx, root.dir, before, after)
	if err != nil || !known {
		return nil, nil, nil, err
	}
	return before, after, changes, nil
}

// own gives the changes that were made, without those that the unpacking left. What cannot keep its owner on disk has
// the image's.
func (r *changedRoot) own(changes []tree.Change) []tree.Change {
	made := changes[:0]
	for _, c := range changes {
		rest, changed := r.how.Explain(c)
		if rest.Kind == tree.Changed && !r.ownerHeld(c) {
			c.New.UID, c.New.GID = c.Old.UID, c.Old.GID
			rest.What = slices.DeleteFunc(rest.What, isOwner)
			changed = len(rest.What) > 0
		}
		if changed {
			made = append(made, rest)
		}
	}
	return made
}

// squashed makes all of a tree a change, but for what was added where changes do not count. Of a directory that
// something is mounted on, the image tells the attributes.
func (a *app) squashed(root changedRoot, before, after *tree.Tree, changes []tree.Change) []tree.Change {
	masked := func(path string) bool { return beneathAny(path, root.masks, false) }
	for _, c := range changes {
		if c.Kind != tree.Added && masked(c.Path) {
			a.log.Warn("one layer of all files has this path as it is on disk, although it is masked or in a volume", "path", fmt.Sprintf("%q", c.Path))
		}
	}
	var all []tree.Change
	for _, c := range tree.Diff(tree.New(), after, tree.DiffOptions{}) {
		old := before.Lookup(c.Path)
		if old == nil && masked(c.Path) {
			continue
		}
		if c.New != nil && c.New.Mount && old != nil && old.Kind == unpack.Directory {
			c.New = old
		}
		all = append(all, c)
	}
	return all
}

// writeLayer writes a layer into the store. Its digest is known only when all of it was written, so it goes
// to a file without a name first, on the same disk.
func writeLayer(ctx context.Context, s *store.Store, plan *repack.Plan, dir *os.File, o repack.Options) (*repack.Layer, error) {
	file, err := unnamedFile(s.Root())
	if err != nil {
		return nil, fmt.Errorf("repack: %w", err)
	}
	defer file.Close()
	layer, err := plan.Write(ctx, dir, file, o)
	if err != nil {
		return nil, err
	}
	return &layer, putBlob(ctx, s, layer.Descriptor, file)
}

// putBlob ingests content that is at hand.
func putBlob(ctx context.Context, s *store.Store, d ispec.Descriptor, r io.ReadSeeker) error {
	in, err := s.Ingest(ctx, d)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := r.Seek(in.Offset(), io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(in, r); err != nil {
		return err
	}
	return in.Commit(ctx)
}

// putImage stores config and manifest, and names them.
func putImage(ctx context.Context, s *store.Store, name string, img image.Image) error {
	if err := putBlob(ctx, s, img.Manifest().Config, strings.NewReader(string(img.ConfigRaw()))); err != nil {
		return err
	}
	d := img.Descriptor()
	if err := putBlob(ctx, s, d, strings.NewReader(string(img.ManifestRaw()))); err != nil {
		return err
	}
	return s.Tag(ctx, name, d)
}
