package image

import (
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image/reference"
)

// Resolved is what a reference means: it is asked for once, and only digests are used afterwards.
type Resolved struct {
	Ref      reference.Ref
	Root     ispec.Descriptor // what the name points at, an index or a manifest
	Manifest ispec.Descriptor // the manifest chosen; Root itself if that is one
	Platform ispec.Platform   // the platform that was chosen for
}

// Layer is one layer of an image: the blob, and the digest of the tar that it must unpack to.
type Layer struct {
	Descriptor ispec.Descriptor
	DiffID     digest.Digest
}

// Image is a container image whose manifest and config have been proved: the bytes match their
// digests, the documents their specifications, and there is one DiffID for each layer. Values come
// from New only; the maps and slices that its methods give are not to be changed.
type Image struct {
	desc        ispec.Descriptor
	manifestRaw []byte
	configRaw   []byte
	manifest    ispec.Manifest
	config      ispec.Image
	layers      []Layer
}

// New makes an Image of a manifest's descriptor and bytes and the bytes of the config that the
// manifest names. An artifact, whose config is not that of a container image, gives ErrMediaType.
// The bytes are kept and must not be changed.
func New(manifest ispec.Descriptor, manifestRaw, configRaw []byte) (Image, error) {
	if err := VerifyBytes(manifestRaw, manifest.Digest, manifest.Size); err != nil {
		return Image{}, err
	}
	m, err := DecodeManifest(manifestRaw, manifest.MediaType)
	if err != nil {
		return Image{}, err
	}
	fail := func(c spec.Clause, err error) (Image, error) {
		return Image{}, &Error{Op: "check image", Subject: manifest.Digest.String(), Clause: c, Err: err}
	}
	if !IsConfig(m.Config.MediaType) {
		return fail(spec.ManifestOpaque, fmt.Errorf("%w: an artifact with a config of type %q, not a container image", ErrMediaType, clip(m.Config.MediaType)))
	}
	if err := VerifyBytes(configRaw, m.Config.Digest, m.Config.Size); err != nil {
		return Image{}, err
	}
	c, err := DecodeConfig(configRaw)
	if err != nil {
		return Image{}, err
	}
	if len(m.Layers) != len(c.RootFS.DiffIDs) {
		return fail(spec.ConfigDiffID, fmt.Errorf("%w: %d layers but %d DiffIDs", ErrMalformed, len(m.Layers), len(c.RootFS.DiffIDs)))
	}
	layers := make([]Layer, len(m.Layers))
	for i, d := range m.Layers {
		layers[i] = Layer{Descriptor: d, DiffID: c.RootFS.DiffIDs[i]}
	}
	return Image{manifest, manifestRaw, configRaw, m, c, layers}, nil
}

// Descriptor is that of the manifest: its digest is the name of the image in a registry.
func (i Image) Descriptor() ispec.Descriptor { return i.desc }

// ManifestRaw gives the bytes of the manifest as they were received.
func (i Image) ManifestRaw() []byte { return i.manifestRaw }

// Manifest gives the decoded manifest.
func (i Image) Manifest() ispec.Manifest { return i.manifest }

// ConfigRaw gives the bytes of the config as they were received.
func (i Image) ConfigRaw() []byte { return i.configRaw }

// Config gives the decoded config.
func (i Image) Config() ispec.Image { return i.config }

// Layers gives the layers, base first.
func (i Image) Layers() []Layer { return slices.Clone(i.layers) }

// ID is the digest of the config, the ImageID of config.md.
func (i Image) ID() digest.Digest { return i.manifest.Config.Digest }
