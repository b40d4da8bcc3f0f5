package main

import (
	"context"
	"errors"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// transferFlags are the flags of every verb that may talk to a registry.
type transferFlags struct {
	accessFlags
	platform  string
	quiet     bool
	mode      progressMode
	noTTY     bool
	jobs      int
	artifacts bool     // takes what is no container image too
	platforms []string // of the verbs that take several; settle makes one of them platform
	all       bool     // all platforms

	onLayer func(index int, l image.Layer) // hears of each layer whose blob is there; may be nil
}

func (t *transferFlags) register(f *pflag.FlagSet) {
	t.registerPlatform(f, "the image for this `os/arch[/variant]` (default: this machine's)")
	t.registerJobs(f)
	t.registerAccess(f)
}

func (t *transferFlags) registerPlatform(f *pflag.FlagSet, help string) {
	f.StringVar(&t.platform, "platform", "", help)
}

// registerPlatforms is registerPlatform for the verbs that take several; they call settle.
func (t *transferFlags) registerPlatforms(f *pflag.FlagSet) {
	f.StringArrayVar(&t.platforms, "platform", nil, "the image for this `os/arch[/variant]` (default: this machine's); may be given several times")
	f.BoolVar(&t.all, "all-platforms", false, "the images for all platforms, and all else that the index has")
}

// settle brings the flags of registerPlatforms into the form that the rest understands.
func (t *transferFlags) settle(cmd *cobra.Command) error {
	if t.all && len(t.platforms) > 0 {
		return usageErrorf(cmd, "--all-platforms and --platform exclude each other")
	}
	if len(t.platforms) == 1 {
		t.platform, t.platforms = t.platforms[0], nil
	}
	return nil
}

// registerMoves adds the flags of a verb that moves several platforms between registries and other places.
func (t *transferFlags) registerMoves(f *pflag.FlagSet) {
	t.registerPlatforms(f)
	t.registerJobs(f)
	t.registerAccess(f)
	t.registerQuiet(f)
}

func (t *transferFlags) registerJobs(f *pflag.FlagSet) {
	f.IntVarP(&t.jobs, "jobs", "j", 0, "`number` of blobs to move at once")
}

func (t *transferFlags) registerQuiet(f *pflag.FlagSet) {
	f.BoolVarP(&t.quiet, "quiet", "q", false, "show no progress, as --progress=none")
	f.Var(&t.mode, "progress", "`how` progress is shown: auto, tty, plain, json or none")
	f.BoolVar(&t.noTTY, "no-tty", false, "show progress in lines though standard error is a terminal, as --progress=plain")
}

// sink gives a store the shape that the client writes into.
type sink struct{ *store.Store }

// Ingest is store.Ingest with the type of package distribution.
func (s sink) Ingest(ctx context.Context, d ispec.Descriptor) (distribution.Ingest, error) {
	in, err := s.Store.Ingest(ctx, d)
	if err != nil {
		return nil, err // not a nil *store.Ingest in an interface that is not nil
	}
	return in, nil
}

// fetch brings what ref means into the store, without a name. The caller holds the store.
func (a *app) fetch(ctx context.Context, s *store.Store, ref reference.Ref, t transferFlags) (ispec.Descriptor, pulled, error) {
	want, err := parsePlatform(t.platform)
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	if len(t.platforms) > 0 {
		return a.fetchSeveral(ctx, s, ref, t)
	}
	p := a.showProgress(t)
	defer p.close()
	if t.all {
		return a.fetchAll(ctx, s, ref, t, p)
	}
	if ref.Transport == reference.Registry {
		return a.pullRegistry(ctx, s, ref, want, t, p)
	}
	return a.pullLocal(ctx, s, ref, want, t, p)
}

// pull brings what ref means into the store and names it there. The name is given last: until then
// nothing of it is visible.
func (a *app) pull(ctx context.Context, s *store.Store, ref reference.Ref, t transferFlags) (pulled, error) {
	hold, err := s.Hold(ctx)
	if err != nil {
		return pulled{}, err
	}
	defer hold.Release()
	root, done, err := a.fetch(ctx, s, ref, t)
	if err == nil {
		err = s.Tag(ctx, ref.String(), root)
	}
	if err != nil {
		return pulled{}, err
	}
	done.named(ref.String(), root)
	return done, nil
}

func (a *app) pullRegistry(ctx context.Context, s *store.Store, ref reference.Ref, want ispec.Platform, t transferFlags, p *progress) (ispec.Descriptor, pulled, error) {
	c, err := a.client(t)
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	o := distribution.PullOptions{Platform: want, Events: p.event, Jobs: t.jobs, Artifacts: t.artifacts, OnLayer: t.onLayer}
	if d, err := s.Resolve(ctx, ref.String()); err == nil {
		o.Known = d
	}
	r, err := c.Pull(ctx, ref, sink{s}, o)
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	addOrigin(ctx, s, ref, r.Resolved.Manifest)
	done := pulled{Fetched: r.BytesFetched, Reused: r.BytesReused}
	if r.Artifact {
		done.Manifest = r.Resolved.Manifest.Digest.String()
	} else {
		done.describe(r.Image)
	}
	return r.Resolved.Root, done, nil
}

// Policies of --pull.
const (
	pullMissing = "missing"
	pullAlways  = "always"
	pullNever   = "never"
)

// ensure gives the image that arg names, from the store or, as policy says, pulled into it.
func (a *app) ensure(ctx context.Context, s *store.Store, arg, policy string, t transferFlags) (name string, img image.Image, err error) {
	done, err := a.ensurePulled(ctx, s, arg, policy, t)
	return done.Name, done.image, err
}

// ensurePulled is ensure, and tells what was moved for it.
func (a *app) ensurePulled(ctx context.Context, s *store.Store, arg, policy string, t transferFlags) (pulled, error) {
	want, err := parsePlatform(t.platform)
	if err != nil {
		return pulled{}, err
	}
	switch policy {
	case pullMissing, pullNever:
		var have pulled
		entry, err := findBy(ctx, s, arg, t.network)
		if err == nil && policy == pullMissing && movedOn(ctx, entry, arg) {
			err = store.ErrNotFound
		}
		if err == nil {
			have.named(entry.Name, entry.Descriptor)
			have.image, err = s.Image(ctx, entry.Descriptor, want)
		}
		if err == nil || policy == pullNever || !errors.Is(err, store.ErrNotFound) {
			return have, err
		}
	case pullAlways:
	default:
		return pulled{}, usageErrorf(nil, "--pull: %q is none of missing, always, never", policy)
	}
	ref, err := a.refer(ctx, arg, t)
	if err != nil {
		return pulled{}, err
	}
	return a.pull(ctx, s, ref, t)
}

// movedOn tells whether a directory that arg names has another image than the store has of it: it was written since, or the
// name is relative and meant another directory then. To ask costs nothing, unlike with a registry or an archive. A directory
// that is gone has nothing newer.
func movedOn(ctx context.Context, have store.Tagged, arg string) bool {
	ref, err := reference.Parse(arg) // without looking up what a short name means
	if err != nil || ref.Transport != reference.OCI && ref.Transport != reference.Dir {
		return false
	}
	src, err := transport.Open(ctx, ref)
	if err != nil {
		return false
	}
	defer src.Close()
	d, err := src.Resolve(ctx)
	return err == nil && d.Digest != have.Descriptor.Digest
}

// localSink gives a store the shape that package transport writes into.
type localSink struct{ *store.Store }

// Ingest is store.Ingest with the type of package transport.
func (s localSink) Ingest(ctx context.Context, d ispec.Descriptor) (transport.Ingest, error) {
	in, err := s.Store.Ingest(ctx, d)
	if err != nil {
		return nil, err
	}
	return in, nil
}

// jobsFor gives how many blobs move at once: on a network the wait is the work, and not the hashing as
// on a disk.
func jobsFor(ref reference.Ref, t transferFlags) int {
	if t.jobs == 0 && (ref.Transport == reference.Registry || ref.Static()) {
		return registryJobs
	}
	return t.jobs
}

// pullLocal copies an image from a layout or an archive.
func (a *app) pullLocal(ctx context.Context, s *store.Store, ref reference.Ref, want ispec.Platform, t transferFlags, p *progress) (ispec.Descriptor, pulled, error) {
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	defer src.Close()
	c, err := transport.Copy(ctx, src, localSink{s}, transport.CopyOptions{Ref: ref, Platform: want, Jobs: jobsFor(ref, t), Events: p.event, OnLayer: t.onLayer})
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	return c.Resolved.Root, copied(c), nil
}

// copied is what transport.Copy did, as a pull tells it.
func copied(c transport.Copied) pulled {
	done := pulled{Fetched: c.Bytes, Reused: c.Reused}
	switch {
	case c.Image.ID() != "":
		done.describe(c.Image)
	case c.Resolved.Manifest.Digest != "": // an artifact
		done.Manifest = c.Resolved.Manifest.Digest.String()
	}
	return done
}
