package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/store"
)

func rmiCommand(a *app) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "rmi REF...",
		Short: "Take images out of the store, and what only they used",
		Args:  atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			for _, arg := range args {
				entry, err := find(ctx, s, arg)
				if err == nil {
					err = s.Untag(ctx, entry.Name)
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(a.out, entry.Name)
			}
			if keep {
				return nil
			}
			_, err = a.prune(ctx, s, store.PruneOptions{})
			return err
		},
	}
	cmd.Flags().BoolVar(&keep, "no-prune", false, "take away the names only; `oci prune` does the rest")
	return cmd
}
