package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/store"
)

func rmiCommand(a *app) *cobra.Command {
	var keep, force bool
	cmd := &cobra.Command{
		Use:   "rmi REF...",
		Short: "Take images out of the store, and what only they used",
		Long: "Take names away, and the content that no other name leads to. A digest, or its first digits, stands for\n" +
			"the name of that content: if it has several, --force takes away all of them.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			s, err := a.existingStore(ctx, false)
			if err != nil {
				return err
			}
			defer s.Close()
			var failed []error
			for _, arg := range args {
				entries, err := entriesFor(ctx, s, arg, force)
				for _, t := range entries {
					if err = a.takeAway(ctx, s, t); err != nil {
						break
					}
				}
				if err != nil {
					failed = append(failed, err)
				}
			}
			if !keep && len(failed) < len(args) {
				if _, err := a.prune(ctx, s, store.PruneOptions{}); err != nil {
					failed = append(failed, err)
				}
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "take away all names of a digest")
	cmd.Flags().BoolVar(&keep, "no-prune", false, "take away the names only; oci prune does the rest")
	return cmd
}

// takeAway takes an entry out of the store and prints its name, or the digest of one without a name.
func (a *app) takeAway(ctx context.Context, s *store.Store, t store.Tagged) error {
	name := t.Name
	if name == "" {
		name = t.Descriptor.Digest.String()
	}
	err := s.Untag(ctx, t.Name)
	if t.Name == "" {
		err = s.Drop(ctx, t.Descriptor.Digest)
	}
	if err == nil {
		fmt.Fprintln(a.out, oneLine(name))
	}
	return err
}

// entriesFor gives the entries that arg stands for. A digest stands for the one name of its content or,
// with all, for each of several; an entry without a name is one of them.
func entriesFor(ctx context.Context, s *store.Store, arg string, all bool) ([]store.Tagged, error) {
	entry, err := find(ctx, s, arg)
	if err != nil {
		return nil, err
	}
	if !byDigest(arg, entry) {
		return []store.Tagged{entry}, nil
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var list []store.Tagged
	var names []string
	for _, t := range tags {
		if t.Descriptor.Digest == entry.Descriptor.Digest && !slices.Contains(names, orDash(t.Name)) {
			list, names = append(list, t), append(names, orDash(t.Name))
		}
	}
	if len(list) > 1 && !all {
		return nil, fmt.Errorf("%s: it has %s: %s; name one, or --force takes away all", arg, count(len(names), "name"), strings.Join(names, " "))
	}
	return list, nil
}
