package main

import (
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

func tagCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tag REF NAME",
		Short: "Give an image of the store one more name",
		Args:  exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := referTo(args[1], networkFlags{})
			if err != nil {
				return err
			}
			if ref.Digest != "" || ref.Transport != reference.Registry {
				return usageErrorf(cmd, "%s: a name for the store is a registry name without a digest", args[1])
			}
			s, err := a.existingStore(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer s.Close()
			t, err := find(cmd.Context(), s, args[0])
			if err != nil {
				return err
			}
			return s.Tag(cmd.Context(), ref.String(), t.Descriptor)
		},
	}
}
