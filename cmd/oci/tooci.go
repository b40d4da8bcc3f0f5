package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// nondistributable is the type of Docker's foreign layers; its constant in image-spec is deprecated, as
// making new ones is.
const nondistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar"

// ociType gives the OCI media type of what Docker has an own one for; others are what they are.
func ociType(mt string) string {
	switch mt {
	case image.DockerManifest:
		return ispec.MediaTypeImageManifest
	case image.DockerManifestList:
		return ispec.MediaTypeImageIndex
	case image.DockerConfig:
		return ispec.MediaTypeImageConfig
	case image.DockerLayer:
		return ispec.MediaTypeImageLayer
	case image.DockerLayerGzip:
		return ispec.MediaTypeImageLayerGzip
	case image.DockerLayerZstd:
		return ispec.MediaTypeImageLayerZstd
	case image.DockerForeign:
		return nondistributable
	case image.DockerForeignGzip:
		return nondistributable + "+gzip"
	}
	return mt
}

// toOCI makes an OCI manifest or index of one of Docker's, in the store, and gives its descriptor. The
// config and the layers stay, byte for byte; media types change, and with them the digests of the
// documents that name them. What is OCI's already is given as it is.
func toOCI(ctx context.Context, s *store.Store, d ispec.Descriptor, depth int) (ispec.Descriptor, error) {
	if depth > image.MaxIndexDepth {
		return d, tooDeep(d)
	}
	if !image.IsIndex(d.MediaType) && d.MediaType != image.DockerManifest {
		return d, nil
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return d, err
	}
	if image.IsIndex(d.MediaType) {
		return indexToOCI(ctx, s, d, raw, depth)
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return d, err
	}
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ociType(d.MediaType)
	m.Config.MediaType = ociType(m.Config.MediaType)
	for i := range m.Layers {
		m.Layers[i].MediaType = ociType(m.Layers[i].MediaType)
	}
	return putDocument(ctx, s, d, m.MediaType, m)
}

func indexToOCI(ctx context.Context, s *store.Store, d ispec.Descriptor, raw []byte, depth int) (ispec.Descriptor, error) {
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return d, err
	}
	changed := d.MediaType != ispec.MediaTypeImageIndex
	for i, m := range idx.Manifests {
		n, err := toOCI(ctx, s, m, depth+1)
		if err != nil {
			return d, err
		}
		changed = changed || n.Digest != m.Digest
		idx.Manifests[i] = n
	}
	if !changed {
		return d, nil
	}
	idx.Versioned, idx.MediaType = specs.Versioned{SchemaVersion: 2}, ispec.MediaTypeImageIndex
	return putDocument(ctx, s, d, idx.MediaType, idx)
}

// putDocument stores v in place of d; all else that the descriptor says stays.
func putDocument(ctx context.Context, s *store.Store, d ispec.Descriptor, mediaType string, v any) (ispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return d, err
	}
	d.Data, d.URLs = nil, nil // of the other document
	d.MediaType, d.Digest, d.Size = mediaType, digest.FromBytes(raw), int64(len(raw))
	in, err := s.Ingest(ctx, d)
	if err != nil {
		return d, err
	}
	defer in.Close()
	if in.Offset() > int64(len(raw)) {
		return d, fmt.Errorf("%s: %w", d.Digest, image.ErrSizeMismatch)
	}
	if _, err := in.Write(raw[in.Offset():]); err != nil {
		return d, err
	}
	return d, in.Commit(ctx)
}
