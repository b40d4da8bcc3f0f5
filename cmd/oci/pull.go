package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

// pullNewer is the policy that only `oci pull` has.
const pullNewer = "newer"

type pullFlags struct {
	policy            string
	dryRun, referrers bool
}

func pullCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	var f pullFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Bring an image into the store",
		Long: "Bring an image into the store: from a registry, an OCI layout (oci:DIR[:TAG]), or an archive\n" +
			"(oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]). What is there already is not moved again, and what\n" +
			"was broken off goes on where it stopped. Prints the name with the digest that it means.\n\n" +
			"The name is asked for by --policy: always; missing, only if the store does not have the image; newer, as\n" +
			"always, but what the store has will do if the registry cannot be reached; never, which only looks.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := errors.Join(t.settle(cmd), f.check(cmd)); err != nil {
				return err
			}
			ref, err := a.refer(ctx, args[0], t)
			if err != nil {
				return err
			}
			if f.dryRun {
				return a.showPlan(ctx, ref, f, t, out.format)
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			done, err := a.pullAs(ctx, s, ref, f, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerMoves(cmd.Flags())
	cmd.Flags().StringVar(&f.policy, "policy", pullAlways, "`when` to ask for the name: "+strings.Join(pullPolicies(), ", "))
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "move nothing; print how many bytes would be fetched")
	cmd.Flags().BoolVar(&f.referrers, "referrers", false, "also what refers to the image, under its own digest: signatures, SBOMs")
	out.register(cmd.Flags())
	return cmd
}

func pullPolicies() []string { return []string{pullAlways, pullMissing, pullNewer, pullNever} }

func (f pullFlags) check(cmd *cobra.Command) error {
	if !slices.Contains(pullPolicies(), f.policy) {
		return usageErrorf(cmd, "--policy: %q is none of %s", f.policy, strings.Join(pullPolicies(), ", "))
	}
	if f.dryRun && f.referrers {
		return usageErrorf(cmd, "--dry-run does not look for --referrers")
	}
	return nil
}

// pullAs pulls as the policy says.
func (a *app) pullAs(ctx context.Context, s *store.Store, ref reference.Ref, f pullFlags, t transferFlags) (pulled, error) {
	var have pulled
	errHave := store.ErrNotFound
	if f.policy != pullAlways {
		have, errHave = a.present(ctx, s, ref, t)
	}
	switch {
	case f.policy == pullNever, f.policy == pullMissing && errHave == nil:
		return have, errHave
	case f.policy == pullMissing && !errors.Is(errHave, store.ErrNotFound):
		return pulled{}, errHave
	}
	done, err := a.pull(ctx, s, ref, t)
	if err == nil && f.referrers {
		err = a.pullReferrers(ctx, s, ref, &done, t)
	}
	if err != nil && errHave == nil && f.policy == pullNewer && unreachable(err) {
		fmt.Fprintf(a.err, "warning: %s; the image that is here will do\n", message(err.Error()))
		return have, nil
	}
	return done, err
}

// unreachable tells whether a registry gave no answer, as against one that is not wanted.
func unreachable(err error) bool {
	for _, kind := range []error{distribution.ErrNetwork, distribution.ErrTimeout, distribution.ErrServer, distribution.ErrRateLimited} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// present is what a pull would give if it moved nothing: what the store has under the name, if it is
// whole for the platforms.
func (a *app) present(ctx context.Context, s *store.Store, ref reference.Ref, t transferFlags) (pulled, error) {
	missing := fmt.Errorf("%s: %w", ref, store.ErrNotFound)
	if s == nil {
		return pulled{}, missing
	}
	d, err := s.Resolve(ctx, ref.String())
	if err != nil {
		return pulled{}, err
	}
	p, err := planFetch(ctx, s, storeSource{s, ref.String()}, d, t)
	if err == nil && p.Fetch > 0 {
		err = missing
	}
	if err != nil {
		return pulled{}, err
	}
	have := pulled{Name: ref.String(), Digest: d.Digest.String(), MediaType: d.MediaType, Manifest: p.Manifest, Platforms: p.Platforms, Reused: p.Reuse}
	if p.Manifest != "" {
		want, err := wantedPlatform(t.platform)
		if err != nil {
			return pulled{}, err
		}
		if img, err := s.Image(ctx, d, want); err == nil { // else it is an artifact
			have.describe(img)
		}
	}
	return have, nil
}
