package image

import (
	"fmt"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The media types of Docker's image manifest version 2, schema 2, which media-types.md declares the
// equals of the OCI ones.
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"
	DockerForeign      = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	DockerForeignGzip  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// The non-distributable layers of image-spec. Its Go package calls them deprecated: they are not to
// be made any more, but still to be read (layer.md).
const (
	foreignLayer     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	foreignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	foreignLayerZstd = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
)

// Compression is how the tar of a layer is packed.
type Compression string

// The compressions of layers. Uncompressed is not the empty string, so that the zero value is no
// valid answer.
const (
	Uncompressed Compression = "none"
	Gzip         Compression = "gzip"
	Zstd         Compression = "zstd"
)

// IsIndex tells whether mt is an OCI image index or a Docker manifest list.
func IsIndex(mt string) bool {
	return mt == ispec.MediaTypeImageIndex || mt == DockerManifestList
}

// IsManifest tells whether mt is an OCI image manifest or a Docker v2 schema 2 manifest.
func IsManifest(mt string) bool {
	return mt == ispec.MediaTypeImageManifest || mt == DockerManifest
}

// IsConfig tells whether mt is the config of a container image, and not that of an artifact.
func IsConfig(mt string) bool {
	return mt == ispec.MediaTypeImageConfig || mt == DockerConfig
}

// IsForeign tells whether mt is a layer that is not to be pushed (layer.md,
// "Non-Distributable Layers").
func IsForeign(mt string) bool {
	switch mt {
	case foreignLayer, foreignLayerGzip, foreignLayerZstd, DockerForeign, DockerForeignGzip:
		return true
	}
	return false
}

// LayerCompression gives the compression of a layer of media type mt, or ErrMediaType if mt is no
// filesystem layer.
func LayerCompression(mt string) (Compression, error) {
	switch mt {
	case ispec.MediaTypeImageLayer, DockerLayer, DockerForeign, foreignLayer:
		return Uncompressed, nil
	case ispec.MediaTypeImageLayerGzip, DockerLayerGzip, DockerForeignGzip, foreignLayerGzip:
		return Gzip, nil
	case ispec.MediaTypeImageLayerZstd, DockerLayerZstd, foreignLayerZstd:
		return Zstd, nil
	}
	return "", &Error{
		Op: "check layer", Clause: spec.ManifestLayers,
		Err: fmt.Errorf("%w %q", ErrMediaType, clip(mt)),
	}
}

// bareType cuts the parameters off a Content-Type: they are to be ignored (distribution-spec,
// "Pulling manifests").
func bareType(mt string) string {
	mt, _, _ = strings.Cut(mt, ";")
	return strings.TrimSpace(mt)
}
