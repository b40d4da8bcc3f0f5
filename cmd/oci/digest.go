package main

import (
	"fmt"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
)

// resolvedName is the JSON of `oci digest` and `oci manifest head`.
type resolvedName struct {
	Name      string `json:"name"`
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func digestCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "digest REF",
		Short: "Print the digest that a name means now",
		Long: "Print the digest of what a name means: one HEAD to a registry. With --platform, of the manifest for that\n" +
			"platform.\n\n" + placeHelp,
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, d, err := a.resolve(cmd, args[0], t)
			if err != nil {
				return err
			}
			if format.json() {
				return format.write(a.out, name)
			}
			_, err = fmt.Fprintln(a.out, d.Digest)
			return err
		},
	}
	t.registerPlatform(cmd.Flags(), "of the manifest for this `os/arch[/variant]` instead of the index")
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// resolve asks what a place means; with --platform, what the index there has for it.
func (a *app) resolve(cmd *cobra.Command, arg string, t transferFlags) (resolvedName, ispec.Descriptor, error) {
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	p, err := a.source(ctx, arg, t)
	if err != nil {
		return resolvedName{}, ispec.Descriptor{}, err
	}
	src, err := a.openPlace(ctx, p, t)
	if err != nil {
		return resolvedName{}, ispec.Descriptor{}, err
	}
	defer src.Close()
	d, err := src.Resolve(ctx)
	if err == nil && t.platform != "" {
		var want ispec.Platform
		if want, err = wantedPlatform(t.platform); err == nil {
			d, _, err = readManifest(ctx, src, d, &want)
		}
	}
	return resolvedName{p.String(), d.MediaType, d.Digest.String(), d.Size}, d, err
}
