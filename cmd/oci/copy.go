package main

import (
	"context"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image/store"
)

func copyCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	var out outputFlags
	var m moveFlags
	var sides sideFlags
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy an image from one place to another, through the store",
		Long: "Copy an image between registries, the store, layouts and archives. No byte of it is changed, so its digest\n" +
			"stays, but for --to-oci (a docker-archive keeps the config, and with it the image's ID). Its content passes through the\n" +
			"store, where it is proved and stays, without a name, until `oci prune`.\n\n" +
			"Of an index, the image for one --platform is copied; with --all-platforms, all of it; with several\n" +
			"--platform, a new index that has those alone, or with --sparse the index itself with those alone. A layout\n" +
			"also gets what refers to the image, other places with --referrers.\n\n" +
			"The places are names in registries, store:NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG],\n" +
			"docker-archive:FILE[:NAME] and dir:DIR; to read from, oci+https://HOST/DIR[:TAG] too.",
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
			if err == nil {
				err = m.check(cmd, to)
			}
			if err == nil {
				err = sides.apply(&t, from, to)
			}
			if err != nil {
				return err
			}
			done, err := a.copyImage(ctx, from, to, m, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerMoves(cmd.Flags())
	m.registerPush(cmd.Flags())
	sides.register(cmd.Flags())
	cmd.Flags().BoolVar(&m.toOCI, "to-oci", false, "make OCI manifests of Docker's, as --format oci; their digests change, those of config and layers stay")
	cmd.Flags().BoolVar(&m.preserve, "preserve-digests", false, "fail if the digest cannot stay")
	out.register(cmd.Flags())
	format := cmd.Flags().Lookup("format")
	format.Value = ociFormat{format.Value, &m.toOCI}
	return cmd
}

// ociFormat is --format with one value more, skopeo's "oci", which is what --to-oci does.
type ociFormat struct {
	pflag.Value
	toOCI *bool
}

// Set accepts oci beside what the flag accepts anyway.
func (f ociFormat) Set(s string) error {
	if s == "oci" {
		*f.toOCI = true
		return nil
	}
	return f.Value.Set(s)
}

// copyImage copies by way of the store.
func (a *app) copyImage(ctx context.Context, from, to place, m moveFlags, t transferFlags) (pulled, error) {
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
	out, err := a.chooseOut(ctx, s, d, to, m, t)
	if err != nil {
		return pulled{}, err
	}
	out.name = to.ref.Tag
	if from.inRegistry() && to.inRegistry() && from.ref.Registry == to.ref.Registry && from.ref.Repository != to.ref.Repository {
		out.mountFrom = from.ref.Repository
	}
	if m.toOCI {
		if out.Descriptor, err = toOCI(ctx, s, out.Descriptor, 0); err != nil {
			return pulled{}, err
		}
	}
	var also []ispec.Descriptor
	if carry, _ := m.carries(to); carry {
		src, err := a.openPlace(ctx, from, t)
		if err != nil {
			return pulled{}, err
		}
		defer src.Close()
		if also, err = a.carried(ctx, s, src, out.Descriptor, to, m, t); err != nil {
			return pulled{}, err
		}
	}
	done.named(to.String(), out.Descriptor)
	if to.stored == "" {
		done.refer(also)
		done.Sent, err = a.deliver(ctx, s, []outgoing{out}, to.ref, m, t, also)
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
