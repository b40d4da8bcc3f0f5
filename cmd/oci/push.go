package main

import (
	"context"
	"errors"
	"fmt"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

func pushCommand(a *app) *cobra.Command {
	var t transferFlags
	cmd := &cobra.Command{
		Use:   "push REF [DESTINATION]",
		Short: "Send an image of the store to a registry",
		Long: "Send an image of the store to the registry that REF names, or to DESTINATION. Of an index that is not\n" +
			"here with all its images, the image for --platform (default: this machine's) is sent.",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			entry, err := find(ctx, s, args[0])
			if err != nil {
				return err
			}
			to, err := reference.Parse(args[len(args)-1])
			if err != nil {
				return err
			}
			if to.Transport != reference.Registry {
				return usageErrorf(cmd, "%s is not in a registry; `oci export` writes layouts and archives", to)
			}
			d, err := a.sendOut(ctx, s, entry.Descriptor, to, t)
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

// sendOut writes what d names in the store to another place, and gives what was written.
func (a *app) sendOut(ctx context.Context, s *store.Store, d ispec.Descriptor, to reference.Ref, t transferFlags) (ispec.Descriptor, error) {
	want, err := parsePlatform(t.platform)
	if err != nil {
		return d, err
	}
	whole, err := complete(ctx, s, d)
	if err != nil {
		return d, err
	}
	if t.platform != "" || !whole {
		img, err := s.Image(ctx, d, want)
		if err != nil {
			return d, err
		}
		d = img.Descriptor()
	}
	p := newProgress(a.err, t.quiet)
	defer p.close()
	if to.Transport != reference.Registry {
		o := transport.ExportOptions{Platform: want, Events: p.event, All: whole && t.platform == "" && to.Transport != reference.DockerArchive}
		return d, transport.Export(ctx, s, d, to, o)
	}
	c, err := a.client(t)
	if err != nil {
		return d, err
	}
	defer c.Close()
	return d, c.Push(ctx, to, s, d, distribution.PushOptions{Events: p.event, Jobs: t.jobs})
}

// complete tells whether every manifest of an index is in the store; a manifest is complete.
func complete(ctx context.Context, s *store.Store, d ispec.Descriptor) (bool, error) {
	if !image.IsIndex(d.MediaType) {
		return true, nil
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return false, err
	}
	for _, m := range idx.Manifests {
		ok, err := s.Has(ctx, m)
		if ok && err == nil {
			ok, err = complete(ctx, s, m)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
