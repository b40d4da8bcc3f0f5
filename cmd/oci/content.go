package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/transport"
)

// group is a verb that has only verbs below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: unknownVerb0,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}

func unknownVerb0(cmd *cobra.Command, args []string) error { return unknownVerb(cmd, args) }

func manifestCommand(a *app) *cobra.Command {
	return group("manifest", "Read manifests and indexes of any place, delete those of a registry", manifestGetCommand(a), manifestHeadCommand(a), manifestDeleteCommand(a))
}

func manifestGetCommand(a *app) *cobra.Command {
	var t transferFlags
	cmd := &cobra.Command{
		Use:   "get REF",
		Short: "Print the bytes of a manifest or index, proved and unchanged",
		Long:  "Print the bytes of what a name means, manifest or index, proved and unchanged.\n\n" + placeHelp,
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlace(cmd, args[0], t, func(ctx context.Context, src transport.Source) error {
				d, err := src.Resolve(ctx)
				if err != nil {
					return err
				}
				var want *ispec.Platform
				if t.platform != "" {
					p, err := wantedPlatform(t.platform)
					if err != nil {
						return err
					}
					want = &p
				}
				_, raw, err := readManifest(ctx, src, d, want)
				if err == nil {
					_, err = a.out.Write(raw)
				}
				return err
			})
		},
	}
	t.registerPlatform(cmd.Flags(), "the manifest for this `os/arch[/variant]` instead of the index")
	t.registerAccess(cmd.Flags())
	return cmd
}

func manifestHeadCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "head REF",
		Short: "Print digest, media type and size of a manifest or index",
		Long:  "Print digest, media type and size of what a name means: what a registry says, without fetching it.\n\n" + placeHelp,
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, d, err := a.resolve(cmd, args[0], t)
			if err != nil {
				return err
			}
			if format.json() {
				return format.write(a.out, name)
			}
			_, err = fmt.Fprintf(a.out, "%s %s %d\n", d.Digest, d.MediaType, d.Size)
			return err
		},
	}
	t.registerPlatform(cmd.Flags(), "of the manifest for this `os/arch[/variant]` instead of the index")
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

func configCommand(a *app) *cobra.Command {
	var t transferFlags
	get := &cobra.Command{
		Use:   "get REF",
		Short: "Print the bytes of an image's config, proved and unchanged",
		Long:  "Print the bytes of an image's config, proved and unchanged.\n\n" + placeHelp,
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPlace(cmd, args[0], t, func(ctx context.Context, src transport.Source) error {
				_, _, config, err := readConfig(ctx, src, t.platform)
				if err == nil {
					_, err = a.out.Write(config)
				}
				return err
			})
		},
	}
	t.registerPlatform(get.Flags(), "of the image for this `os/arch[/variant]` (default: this machine's)")
	t.registerAccess(get.Flags())
	return group("config", "Read the configs of images, of a registry or any other place", get)
}

// withPlace opens the place that arg names for what do does.
func (a *app) withPlace(cmd *cobra.Command, arg string, t transferFlags, do func(context.Context, transport.Source) error) error {
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	p, err := a.source(ctx, arg, t)
	if err != nil {
		return err
	}
	src, err := a.openPlace(ctx, p, t)
	if err != nil {
		return err
	}
	defer src.Close()
	return do(ctx, src)
}

// copyBlob writes a blob of a repository to w and proves it on the way.
func copyBlob(ctx context.Context, c *distribution.Client, ref reference.Ref, dgst digest.Digest, w io.Writer) error {
	d, err := c.StatBlob(ctx, ref, dgst)
	if err != nil {
		return err
	}
	r, err := c.Blob(ctx, ref, d, 0)
	if err != nil {
		return err
	}
	return copyProved(r, d, w)
}

// copyProved writes the content d to w, proves it on the way, and closes r.
func copyProved(r io.ReadCloser, d ispec.Descriptor, w io.Writer) error {
	defer r.Close()
	v, err := image.NewVerifier(r, d)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, v)
	return err
}

// writeWhole makes the file name by write: whole, or not at all.
func writeWhole(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
