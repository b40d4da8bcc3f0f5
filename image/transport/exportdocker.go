package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// Bounds of the inflating of layers.
const (
	maxInflated   = 64 << 30  // bytes of one layer; real ones stay below a few GiB
	maxZstdWindow = 128 << 20 // bytes; a frame of 14 bytes can ask for 512 MiB
)

// toDockerArchive writes a tar as docker save does: the layers uncompressed and named by their
// DiffID, the configs named by their digests, and manifest.json. An image with several names is
// one entry.
func (x *exporter) toDockerArchive(ctx context.Context, items []Item, dest reference.Ref) error {
	images, entries, err := x.archiveEntries(ctx, items)
	if err != nil {
		return err
	}
	return x.writeArchive(dest.Path, func(a archive) error {
		written := make(map[string]bool)
		for i, img := range images {
			for j, l := range img.Layers() {
				name := entries[i].Layers[j]
				if written[name] {
					continue
				}
				written[name] = true
				if err := a.add(name, -1, func(w io.Writer) error { return x.layer(ctx, l, w) }); err != nil {
					return fmt.Errorf("layer %s: %w", l.Descriptor.Digest, err)
				}
			}
			if err := addBytes(a, entries[i].Config, img.ConfigRaw()); err != nil {
				return err
			}
		}
		raw, err := json.Marshal(entries)
		if err != nil {
			return err
		}
		return addBytes(a, "manifest.json", raw)
	})
}

// archiveEntries gives the images, each once by its config, and what manifest.json says of them.
func (x *exporter) archiveEntries(ctx context.Context, items []Item) ([]image.Image, []archiveImage, error) {
	var images []image.Image
	var entries []archiveImage
	at := make(map[digest.Digest]int)
	for _, item := range items {
		img, err := x.image(ctx, item.Descriptor)
		if err != nil {
			return nil, nil, err
		}
		tag, err := repoTag(item.Name)
		if err != nil {
			return nil, nil, err
		}
		i, known := at[img.ID()]
		if !known {
			i = len(images)
			at[img.ID()] = i
			entry := archiveImage{Config: img.ID().Encoded() + ".json", RepoTags: []string{}, Layers: []string{}}
			for _, l := range img.Layers() {
				entry.Layers = append(entry.Layers, l.DiffID.Encoded()+".tar")
			}
			images, entries = append(images, img), append(entries, entry)
		}
		if tag != "" && !slices.Contains(entries[i].RepoTags, tag) {
			entries[i].RepoTags = append(entries[i].RepoTags, tag)
		}
	}
	return images, entries, nil
}

// repoTag gives the name of an image as docker load knows it: one in a registry, with a tag.
func repoTag(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	ref, err := reference.Parse(name)
	if err != nil {
		return "", err
	}
	if ref.Transport != reference.Registry {
		return "", fmt.Errorf("%w: %q is not the name of an image in a registry", reference.ErrSyntax, name)
	}
	if ref.Tag == "" {
		return "", nil // docker load knows no names with digests
	}
	ref.Digest = ""
	return ref.String(), nil
}

func (x *exporter) image(ctx context.Context, d ispec.Descriptor) (image.Image, error) {
	raw, err := x.read(ctx, d, image.MaxManifestSize)
	if err != nil {
		return image.Image{}, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return image.Image{}, err
	}
	if !image.IsConfig(m.Config.MediaType) {
		return image.New(d, raw, nil) // which says what it is instead
	}
	config, err := x.read(ctx, m.Config, image.MaxConfigSize)
	if err != nil {
		return image.Image{}, err
	}
	return image.New(d, raw, config)
}

// layer writes the tar of a layer, and proves both the blob and what it inflates to.
func (x *exporter) layer(ctx context.Context, l image.Layer, w io.Writer) error {
	compression, err := image.LayerCompression(l.Descriptor.MediaType)
	if err != nil {
		return err
	}
	r, err := x.blobs.Open(ctx, l.Descriptor)
	if err != nil {
		return err
	}
	defer r.Close()
	v, err := image.NewVerifier(r, l.Descriptor)
	if err != nil {
		return err
	}
	plain, err := inflate(v, compression)
	if err != nil {
		if verr := v.Verify(); verr != nil { // the cause
			return verr
		}
		return fmt.Errorf("%w: %w", image.ErrMalformed, hideEOF(err))
	}
	defer plain.Close()
	sum, err := image.NewHash(l.DiffID)
	if err != nil {
		return err
	}
	bounded := &io.LimitedReader{R: plain, N: maxInflated + 1}
	err = x.pump(ctx, l.Descriptor, io.MultiWriter(w, sum), bounded)
	if verr := v.Verify(); verr != nil { // the cause, if the inflating failed
		return verr
	}
	if err != nil {
		return hideEOF(err)
	}
	if bounded.N <= 0 {
		return fmt.Errorf("%w: it inflates to more than %d bytes", image.ErrTooLarge, int64(maxInflated))
	}
	if got := digest.NewDigest(l.DiffID.Algorithm(), sum); got != l.DiffID {
		err := fmt.Errorf("%w: content is %s", image.ErrDigestMismatch, got)
		return &Error{Op: "verify DiffID", Subject: l.DiffID.String(), Clause: spec.ConfigDiffID, Err: err}
	}
	return nil
}

// inflate opens the decoder of a compression.
func inflate(r io.Reader, c image.Compression) (io.ReadCloser, error) {
	switch c {
	case image.Gzip:
		return gzip.NewReader(r)
	case image.Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}
