package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

func pullCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Bring an image into the store",
		Long: "Bring an image into the store: from a registry, an OCI layout (oci:DIR[:TAG]), or an archive\n" +
			"(oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]). What is there already is not moved again, and what\n" +
			"was broken off goes on where it stopped. Prints the name with the digest that it means.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			ref, err := reference.Parse(args[0])
			if err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			done, err := a.pull(ctx, s, ref, t)
			switch {
			case err != nil:
				return err
			case format.json():
				return writeJSON(a.out, done)
			}
			_, err = fmt.Fprintf(a.out, "%s %s\n", done.Name, done.Digest)
			return err
		},
	}
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	format.register(cmd.Flags())
	return cmd
}
