package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
)

// deleted is the JSON of `oci delete` and `oci manifest delete`.
type deleted struct {
	Deleted []string `json:"deleted"`
}

// deleteCommand is for engines too, which know the whole ID of a container: the beginning of one is not
// enough.
func deleteCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var force bool
	cmd := &cobra.Command{
		Use:   "delete ID... | REF...",
		Short: "Remove containers that are not running; or delete tags and manifests in a registry",
		Long: "Remove containers, each named by its whole ID; or delete in a registry. An argument with a slash, or that\n" +
			"begins with docker://, is a name in a registry, as the ID of a container can hold no slash:\n\n" +
			"  oci delete web                             the container web\n" +
			"  oci delete registry.example.org/app:1.2    the tag 1.2, and nothing else\n" +
			"  oci delete registry.example.org/app@DIGEST the manifest, with all its tags\n" +
			"  oci delete docker://app:1.2                the tag of docker.io/library/app\n\n" +
			deleteHelp + " `oci rmi` takes images out of the store.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ids []string
			var refs []reference.Ref
			for _, arg := range args {
				if !namesRegistry(arg) {
					ids = append(ids, arg)
					continue
				}
				ref, err := parseDeletable(cmd, arg, t.network)
				if err != nil {
					return err
				}
				refs = append(refs, ref)
			}
			if len(ids) > 0 && len(refs) > 0 {
				return usageErrorf(cmd, "%s is a container, and %s in a registry: delete them apart", ids[0], refs[0])
			}
			errs := []error{a.deleteRefs(cmd.Context(), refs, t, format)}
			for _, id := range ids {
				errs = append(errs, a.deleteContainer(cmd.Context(), id, force))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "of a container: kill it if it runs, and that it does not exist is no error")
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

const deleteHelp = "Many registries can delete manifests and not tags, or nothing at all. What was not named is never deleted in\n" +
	"place of a tag."

// namesRegistry tells whether an argument of delete is no container.
func namesRegistry(arg string) bool { return strings.ContainsRune(arg, '/') }

func parseDeletable(cmd *cobra.Command, arg string, n networkFlags) (reference.Ref, error) {
	ref, err := referTo(arg, n)
	switch {
	case err != nil:
		return ref, err
	case ref.Transport != reference.Registry:
		return ref, usageErrorf(cmd, "%s is not in a registry", ref)
	case ref.Digest == "" && !strings.HasSuffix(arg, ":"+ref.Tag):
		return ref, usageErrorf(cmd, "%s: say which tag, or @DIGEST; no tag is meant by leaving it out here", arg)
	}
	return ref, nil
}

// deleteRefs deletes in registries, one after the other, and goes on after a failure.
func (a *app) deleteRefs(ctx context.Context, refs []reference.Ref, t transferFlags, format formatFlag) error {
	if len(refs) == 0 {
		return nil
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	c, err := a.client(t)
	if err != nil {
		return err
	}
	return a.deleteEach(ctx, refs, format, c.Delete)
}

// deleteEach deletes one after the other, goes on after a failure, and tells what is gone.
func (a *app) deleteEach(ctx context.Context, refs []reference.Ref, format formatFlag, del func(context.Context, reference.Ref) error) error {
	done := deleted{Deleted: []string{}}
	var errs []error
	for _, ref := range refs {
		if err := del(ctx, ref); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		done.Deleted = append(done.Deleted, ref.String())
		if !format.json() {
			fmt.Fprintf(a.out, "deleted %s\n", ref)
		}
	}
	if format.json() {
		errs = append(errs, format.write(a.out, done))
	}
	return errors.Join(errs...)
}

func manifestDeleteCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "delete REF...",
		Short: "Delete tags or manifests from a registry",
		Long: "Delete from a registry: the tag alone that REF names, or with REPOSITORY@DIGEST the manifest, and with it all\n" +
			"its tags. " + deleteHelp + " `oci rmi` removes images from the store.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var refs []reference.Ref
			for _, arg := range args {
				ref, err := parseDeletable(cmd, arg, t.network)
				if err != nil {
					return err
				}
				refs = append(refs, ref)
			}
			return a.deleteRefs(cmd.Context(), refs, t, format)
		},
	}
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}
