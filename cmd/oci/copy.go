package main

import (
	"context"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

type copyFlags struct {
	referrers bool
	toOCI     bool
}

func copyCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	var out outputFlags
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy an image from one place to another, through the store",
		Long: "Copy an image between registries, the store, layouts and archives. No byte of it is changed, so its digest\n" +
			"stays, but for --to-oci (a docker-archive keeps the config, and with it the image's ID). Its content passes through the\n" +
			"store, where it is proved and stays, without a name, until `oci prune`.\n\n" +
			"Of an index, the image for one --platform is copied; with several, to a layout, the index with those\n" +
			"images; with --all-platforms, all of it.\n\n" +
			"The places are names in registries, store:NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG],\n" +
			"docker-archive:FILE[:NAME] and dir:DIR.",
		Args: exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			from, err := a.source(ctx, args[0], t)
			if err != nil {
				return err
			}
			to, err := destination(args[1], t)
			if err != nil {
				return err
			}
			if f.referrers && f.toOCI {
				return usageErrorf(cmd, "--referrers and --to-oci exclude each other: what refers to an image names its digest")
			}
			if kind := to.ref.Transport; f.referrers && (kind == reference.DockerArchive || kind == reference.Dir) {
				return usageErrorf(cmd, "--referrers: %s holds one image, and nothing beside it", to)
			}
			done, err := a.copyImage(ctx, from, to, f, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerMoves(cmd.Flags())
	cmd.Flags().BoolVar(&f.toOCI, "to-oci", false, "make OCI manifests of Docker's; their digests change, those of config and layers stay")
	cmd.Flags().BoolVar(&f.referrers, "referrers", false, "also what refers to the image: signatures, SBOMs")
	out.register(cmd.Flags())
	return cmd
}

// copyImage copies by way of the store.
func (a *app) copyImage(ctx context.Context, from, to place, f copyFlags, t transferFlags) (pulled, error) {
	s, err := a.openStore(ctx)
	if err != nil {
		return pulled{}, err
	}
	defer s.Close()
	hold, err := s.Hold(ctx)
	if err != nil {
		return pulled{}, err
	}
	defer hold.Release()
	d, done, err := a.bring(ctx, s, from, t)
	if err != nil {
		return pulled{}, err
	}
	out, err := chooseOut(ctx, s, d, to, t)
	if err != nil {
		return pulled{}, err
	}
	if from.inRegistry() && to.inRegistry() && from.ref.Registry == to.ref.Registry && from.ref.Repository != to.ref.Repository {
		out.mountFrom = from.ref.Repository
	}
	if f.toOCI {
		if out.Descriptor, err = toOCI(ctx, s, out.Descriptor, 0); err != nil {
			return pulled{}, err
		}
	}
	var also []ispec.Descriptor
	if f.referrers {
		src, err := a.openPlace(ctx, from, t)
		if err != nil {
			return pulled{}, err
		}
		defer src.Close()
		if also, err = a.fetchReferrers(ctx, s, src, out.Descriptor, t); err != nil {
			return pulled{}, err
		}
	}
	done.named(to.String(), out.Descriptor)
	if to.stored == "" {
		for _, r := range also {
			done.Referrers = append(done.Referrers, r.Digest.String())
		}
		done.Sent, err = a.deliver(ctx, s, out, to.ref, t, also)
		return done, err
	}
	ref, err := referTo(to.stored, t.network)
	if err != nil {
		return pulled{}, err
	}
	if err := s.Tag(ctx, ref.String(), out.Descriptor); err != nil {
		return pulled{}, err
	}
	return done, nameReferrers(ctx, s, ref, also, &done)
}

// bring makes sure that the store has what a place means.
func (a *app) bring(ctx context.Context, s *store.Store, from place, t transferFlags) (ispec.Descriptor, pulled, error) {
	if from.stored == "" {
		return a.fetch(ctx, s, from.ref, t)
	}
	entry, err := find(ctx, s, from.stored)
	return entry.Descriptor, pulled{}, err
}
