package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// inspection is what `oci inspect` prints. Config is the image's own, byte for byte but for spaces.
type inspection struct {
	Name         string            `json:"name"`
	Digest       string            `json:"digest"` // of what the name means
	MediaType    string            `json:"mediaType"`
	Manifest     string            `json:"manifest"` // digest of the manifest of the platform
	ArtifactType string            `json:"artifactType,omitempty"`
	ID           string            `json:"id,omitempty"`        // digest of the config; none of an artifact
	Platform     string            `json:"platform,omitempty"`  // none of an artifact
	Platforms    []string          `json:"platforms,omitempty"` // of an index, as it lists them
	Size         int64             `json:"size"`                // of what has to be fetched
	Created      *time.Time        `json:"created,omitempty"`
	Author       string            `json:"author,omitempty"`
	User         string            `json:"user,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	Env          []string          `json:"env,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"` // of the manifest
	Layers       []layerRow        `json:"layers"`
	Referrers    *int              `json:"referrers,omitempty"` // how many refer to it; absent if that is not known
	Config       json.RawMessage   `json:"config,omitempty"`
}

type layerRow struct {
	MediaType   string `json:"mediaType"`
	Digest      string `json:"digest"`
	Size        int64  `json:"size"`
	Compression string `json:"compression,omitempty"` // none, gzip, zstd; absent if the type does not say
	Title       string `json:"title,omitempty"`       // of a file of an artifact
	DiffID      string `json:"diffID,omitempty"`
	ChainID     string `json:"chainID,omitempty"`
}

func inspectCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var raw bool
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Show an image: manifest, layers, config, as JSON",
		Long: "Show what an image is, without its layers being fetched: what the name means, the platforms of an index,\n" +
			"and of the image for this machine's or --platform the layers, the config and how many manifests refer to it.\n\n" +
			"REF is the name of an image in the store; docker://NAME asks the registry. It may also be oci:DIR[:TAG],\n" +
			"oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR or oci+https://HOST/DIR[:TAG].",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := parseInspected(args[0])
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			src, err := a.openPlace(ctx, p, t)
			if p.stored != "" && errors.Is(err, store.ErrNotFound) { // there is no store
				_, err = find(ctx, nil, p.stored)
			}
			if err != nil {
				return err
			}
			defer src.Close()
			if raw {
				return a.writeRaw(ctx, src)
			}
			v, err := a.inspect(ctx, p, src, t.platform)
			if err != nil {
				return err
			}
			if format.json() {
				return format.write(a.out, v)
			}
			_, err = fmt.Fprint(a.out, v.text())
			return err
		},
	}
	t.registerPlatform(cmd.Flags(), "the image for this `os/arch[/variant]`")
	t.registerAccess(cmd.Flags())
	cmd.Flags().BoolVar(&raw, "raw", false, "print the bytes that the name means, manifest or index, as they were received")
	format.registerOutput(cmd.Flags())
	format, cmd.Flags().Lookup("format").DefValue = "json", "json"
	return cmd
}

// parseInspected reads a place whose bare names are those of the store.
func parseInspected(arg string) (place, error) {
	for _, prefix := range []string{"docker:", storePrefix, "oci+", "ocidir:"} {
		if strings.HasPrefix(arg, prefix) {
			return parsePlace(arg, reference.Parse)
		}
	}
	if ref, err := reference.Parse(arg); err == nil && ref.Transport != reference.Registry {
		return place{ref: ref}, nil
	}
	return place{stored: arg}, nil
}

// writeRaw writes the document that a place means.
func (a *app) writeRaw(ctx context.Context, src transport.Source) error {
	d, err := src.Resolve(ctx)
	if err != nil {
		return err
	}
	b, err := readProved(ctx, src, d, image.MaxManifestSize)
	if err == nil {
		_, err = a.out.Write(b)
	}
	return err
}

// inspect reads what a place means, proved, and the config of the image for the platform.
func (a *app) inspect(ctx context.Context, p place, src transport.Source, platform string) (inspection, error) {
	root, err := src.Resolve(ctx)
	if err != nil {
		return inspection{}, err
	}
	v := inspection{Name: p.String(), Digest: root.Digest.String(), MediaType: root.MediaType, Layers: []layerRow{}}
	if s, ok := src.(storeSource); ok {
		entry, err := find(ctx, s.Store, s.name)
		if err != nil {
			return v, err
		}
		v.Name = entry.Name
	}
	d, raw, err := v.choose(ctx, src, root, platform)
	if err != nil {
		return v, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return v, err
	}
	v.Manifest, v.Annotations, v.ArtifactType = d.Digest.String(), m.Annotations, m.ArtifactType
	v.Size = d.Size + m.Config.Size
	for _, l := range m.Layers {
		v.Size += l.Size
		v.Layers = append(v.Layers, layerRow{MediaType: l.MediaType, Digest: l.Digest.String(), Size: l.Size, Compression: compression(l.MediaType), Title: l.Annotations[ispec.AnnotationTitle]})
	}
	v.Referrers = a.countReferrers(ctx, src, root.Digest, d.Digest)
	if !image.IsConfig(m.Config.MediaType) {
		if v.ArtifactType == "" {
			v.ArtifactType = m.Config.MediaType
		}
		return v, nil
	}
	config, err := readProved(ctx, src, m.Config, image.MaxConfigSize)
	if err != nil {
		return v, err
	}
	img, err := image.New(d, raw, config)
	if err == nil {
		v.describe(img)
	}
	return v, err
}

// describe adds what the config says.
func (v *inspection) describe(img image.Image) {
	c := img.Config()
	v.ID, v.Platform, v.Config = img.ID().String(), image.FormatPlatform(c.Platform), img.ConfigRaw()
	v.Created, v.Author, v.User, v.WorkingDir = c.Created, c.Author, c.Config.User, c.Config.WorkingDir
	v.Entrypoint, v.Cmd, v.Env, v.Labels = c.Config.Entrypoint, c.Config.Cmd, c.Config.Env, c.Config.Labels
	chains := image.ChainIDs(c.RootFS.DiffIDs)
	for i, l := range img.Layers() {
		v.Layers[i].DiffID, v.Layers[i].ChainID = l.DiffID.String(), chains[i].String()
	}
}

// choose gives the manifest for the platform. Of an index in the store, which may have some of its images
// only, one that is there is looked at when none was asked for.
func (v *inspection) choose(ctx context.Context, src transport.Source, root ispec.Descriptor, platform string) (ispec.Descriptor, []byte, error) {
	want, err := wantedPlatform(platform)
	if err != nil {
		return root, nil, err
	}
	if !image.IsIndex(root.MediaType) {
		raw, err := readProved(ctx, src, root, image.MaxManifestSize)
		return root, raw, err
	}
	raw, err := readProved(ctx, src, root, image.MaxManifestSize)
	if err != nil {
		return root, nil, err
	}
	idx, err := image.DecodeIndex(raw, root.MediaType)
	if err != nil {
		return root, nil, err
	}
	for _, m := range idx.Manifests {
		if image.HasPlatform(m) {
			v.Platforms = append(v.Platforms, image.FormatPlatform(*m.Platform))
		}
	}
	d, raw, err := readManifest(ctx, src, root, &want)
	s, stored := src.(storeSource)
	if err == nil || !stored || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, image.ErrNoPlatform) {
		return d, raw, err
	}
	if platform == "" {
		for _, m := range idx.Manifests {
			if raw, err := s.ReadBlob(ctx, m, image.MaxManifestSize); err == nil && image.IsManifest(m.MediaType) {
				return m, raw, nil
			}
		}
		platform = image.FormatPlatform(image.HostPlatform())
	}
	return d, nil, fmt.Errorf("%s: the image for %s was not pulled, or not all of it (`oci pull --platform %s %s` does): %w", v.Name, platform, platform, v.Name, err)
}

// countReferrers tells how many manifests refer to the name's own document or to the image; nil if the
// place does not say.
func (a *app) countReferrers(ctx context.Context, src transport.Source, subjects ...digest.Digest) *int {
	find, err := referrersOf(ctx, src)
	seen := map[digest.Digest]bool{}
	for _, d := range subjects {
		if err != nil {
			return nil
		}
		var list []ispec.Descriptor
		list, err = find(ctx, d)
		for _, r := range list {
			seen[r.Digest] = true
		}
	}
	if err != nil {
		return nil
	}
	n := len(seen)
	return &n
}

// compression is what the type of a layer says of it; "" if it is none of the types of layers.
func compression(mediaType string) string {
	switch {
	case strings.HasSuffix(mediaType, "+gzip"), strings.HasSuffix(mediaType, ".tar.gzip"):
		return "gzip"
	case strings.HasSuffix(mediaType, "+zstd"), strings.HasSuffix(mediaType, ".tar.zstd"):
		return "zstd"
	case strings.HasSuffix(mediaType, ".tar"):
		return "none"
	}
	return ""
}
