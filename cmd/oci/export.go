package main

import (
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

func exportCommand(a *app) *cobra.Command {
	var t transferFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "export REF DESTINATION",
		Short: "Write an image of the store to a layout or an archive",
		Long: "Write an image of the store to oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or, as skopeo\n" +
			"does, dir:DIR. All but a layout is there whole or not at all, in place of what it was before; a layout\n" +
			"keeps the images that it has.",
		Args: exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			to, err := reference.Parse(args[1])
			if err != nil {
				return err
			}
			if to.Transport == reference.Registry {
				return usageErrorf(cmd, "%s is in a registry; `oci push` sends images there", to)
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			entry, err := find(ctx, s, args[0])
			if err != nil {
				return err
			}
			done, err := a.sendOut(ctx, s, entry.Descriptor, to, t)
			if err != nil {
				return err
			}
			return a.printResult(done, out)
		},
	}
	t.registerPlatforms(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}
