package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

func copyCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	cmd := &cobra.Command{
		Use:   "copy SOURCE DESTINATION",
		Short: "Copy an image from one place to another, through the store",
		Long: "Copy an image between registries, layouts and archives. Its content passes through the store, where it is\n" +
			"proved and stays, without a name, until `oci prune`.",
		Args: exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			from, err := reference.Parse(args[0])
			if err != nil {
				return err
			}
			to, err := reference.Parse(args[1])
			if err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			hold, err := s.Hold(ctx)
			if err != nil {
				return err
			}
			defer hold.Release()
			root, _, err := a.fetch(ctx, s, from, t)
			if err != nil {
				return err
			}
			d, err := a.sendOut(ctx, s, root, to, t)
			if err == nil {
				fmt.Fprintf(a.out, "%s %s\n", to, d.Digest)
			}
			return err
		},
	}
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	return cmd
}
