package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// inspection is what `oci inspect` prints. Config is the image's own, byte for byte but for spaces.
type inspection struct {
	Name      string          `json:"name"`
	Digest    string          `json:"digest"` // of what the name means
	MediaType string          `json:"mediaType"`
	Manifest  string          `json:"manifest"` // digest of the manifest of the platform
	ID        string          `json:"id"`       // digest of the config
	Platform  string          `json:"platform"`
	Size      int64           `json:"size"`
	Layers    []layerRow      `json:"layers"`
	Config    json.RawMessage `json:"config"`
}

type layerRow struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	DiffID    string `json:"diffID"`
	ChainID   string `json:"chainID"`
}

func inspectCommand(a *app) *cobra.Command {
	var platform string
	var raw bool
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Print an image of the store: manifest, layers, config, as JSON",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			want, err := parsePlatform(platform)
			if err != nil {
				return err
			}
			s, err := a.viewStore(ctx)
			if err != nil {
				return err
			}
			if s != nil {
				defer s.Close()
			}
			t, err := find(ctx, s, args[0])
			if err != nil {
				return err
			}
			if raw {
				b, err := s.ReadBlob(ctx, t.Descriptor, image.MaxManifestSize)
				if err == nil {
					_, err = a.out.Write(b)
				}
				return err
			}
			img, err := anyImage(ctx, s, t.Descriptor, want)
			if errors.Is(err, store.ErrNotFound) {
				if platform == "" {
					platform = image.FormatPlatform(image.HostPlatform())
				}
				return fmt.Errorf("%s: the image for %s was not pulled, or not all of it (`oci pull --platform %s %s` does): %w", t.Name, platform, platform, t.Name, err)
			}
			if err != nil {
				return err
			}
			return writeJSON(a.out, inspect(t.Name, t.Descriptor.Digest.String(), t.Descriptor.MediaType, img))
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "the image for this `os/arch[/variant]`")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the bytes that the name means, manifest or index, as they were received")
	return cmd
}

func inspect(name, digest, mediaType string, img image.Image) inspection {
	v := inspection{
		Name: name, Digest: digest, MediaType: mediaType,
		Manifest: img.Descriptor().Digest.String(), ID: img.ID().String(),
		Platform: image.FormatPlatform(img.Config().Platform), Size: imageSize(img),
		Layers: []layerRow{}, Config: img.ConfigRaw(),
	}
	chains := image.ChainIDs(img.Config().RootFS.DiffIDs)
	for i, l := range img.Layers() {
		v.Layers = append(v.Layers, layerRow{l.Descriptor.MediaType, l.Descriptor.Digest.String(), l.Descriptor.Size, l.DiffID.String(), chains[i].String()})
	}
	return v
}
