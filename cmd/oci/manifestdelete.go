package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

// deleted is the JSON of `oci delete`.
type deleted struct {
	Deleted []string `json:"deleted"`
}

func manifestDeleteCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "delete REF...",
		Short: "Delete tags or manifests from a registry",
		Long: "Delete from a registry: the tag alone that REF names, or with REPOSITORY@DIGEST the manifest, and with it all\n" +
			"its tags. Many registries can delete manifests and not tags; what is not meant is not deleted in place of\n" +
			"the tag. `oci rmi` removes images from the store,\n" +
			"`oci delete` containers.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			var refs []reference.Ref
			for _, arg := range args {
				ref, err := reference.Parse(arg)
				if err != nil {
					return err
				}
				if ref.Transport != reference.Registry {
					return usageErrorf(cmd, "%s is not in a registry", ref)
				}
				refs = append(refs, ref)
			}
			c, err := a.client(t)
			if err != nil {
				return err
			}
			done := deleted{Deleted: []string{}}
			for _, ref := range refs {
				if err := c.Delete(ctx, ref); err != nil {
					return err
				}
				done.Deleted = append(done.Deleted, ref.String())
				if !format.json() {
					fmt.Fprintf(a.out, "deleted %s\n", ref)
				}
			}
			if format.json() {
				return format.write(a.out, done)
			}
			return nil
		},
	}
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}
