package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image/reference"
)

func blobCommand(a *app) *cobra.Command {
	return group("blob", "Read and delete single blobs of a registry", blobGetCommand(a), blobHeadCommand(a), blobDeleteCommand(a))
}

func blobGetCommand(a *app) *cobra.Command {
	var t transferFlags
	var output string
	get := &cobra.Command{
		Use:   "get REPOSITORY@DIGEST",
		Short: "Write a blob of a repository, proved",
		Long: "Write a blob of a repository to standard output, or to a file that appears once it is proved. What goes to\n" +
			"standard output has been proved when the exit status is 0; it is 6 if the blob is not what its digest says.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBlobs(cmd, args, t, func(ctx context.Context, c *distribution.Client, refs []reference.Ref) error {
				write := func(w io.Writer) error { return copyBlob(ctx, c, refs[0], refs[0].Digest, w) }
				if output == "" {
					return write(a.out)
				}
				return writeWhole(output, write)
			})
		},
	}
	t.registerAccess(get.Flags())
	get.Flags().StringVarP(&output, "output", "o", "", "write to this `file`, whole or not at all")
	return get
}

// blobHead is the JSON of `oci blob head`.
type blobHead struct {
	Name   string `json:"ref"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func blobHeadCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	head := &cobra.Command{
		Use:   "head REPOSITORY@DIGEST",
		Short: "Print the size of a blob, as the registry says it",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBlobs(cmd, args, t, func(ctx context.Context, c *distribution.Client, refs []reference.Ref) error {
				d, err := c.StatBlob(ctx, refs[0], refs[0].Digest)
				if err != nil {
					return err
				}
				if format.json() {
					return format.write(a.out, blobHead{refs[0].String(), d.Digest.String(), d.Size})
				}
				_, err = fmt.Fprintf(a.out, "%s %d\n", d.Digest, d.Size)
				return err
			})
		},
	}
	t.registerAccess(head.Flags())
	format.registerOutput(head.Flags())
	return head
}

func blobDeleteCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	del := &cobra.Command{
		Use:   "delete REPOSITORY@DIGEST...",
		Short: "Delete blobs of a repository; manifests that need them are not asked",
		Long: "Delete blobs of a repository, where the registry allows it. Manifests that need them are not asked: they\n" +
			"cannot be pulled any more.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBlobs(cmd, args, t, func(ctx context.Context, c *distribution.Client, refs []reference.Ref) error {
				return a.deleteEach(ctx, refs, format, func(ctx context.Context, ref reference.Ref) error {
					return c.DeleteBlob(ctx, ref, ref.Digest)
				})
			})
		},
	}
	t.registerAccess(del.Flags())
	format.registerOutput(del.Flags())
	return del
}

// withBlobs reads the arguments REPOSITORY@DIGEST and gives them to do with a client.
func (a *app) withBlobs(cmd *cobra.Command, args []string, t transferFlags, do func(context.Context, *distribution.Client, []reference.Ref) error) error {
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	var refs []reference.Ref
	for _, arg := range args {
		ref, err := referTo(arg, t.network)
		if err != nil {
			return err
		}
		if ref.Transport != reference.Registry && !ref.Static() || ref.Digest == "" {
			return usageErrorf(cmd, "%s: want REPOSITORY@DIGEST or oci+https://HOST/DIR@DIGEST", arg)
		}
		refs = append(refs, ref)
	}
	c, err := a.client(t)
	if err != nil {
		return err
	}
	return do(ctx, c, refs)
}
