package image

import (
	"fmt"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// DecodeManifest decodes an image manifest, OCI or Docker v2 schema 2. mediaType is the type that a
// descriptor or a Content-Type announced (parameters are ignored), or "" if nothing did; a document
// that names another type is refused. All its descriptors have been checked.
//
// The types of config, layers and artifact may be unknown: they must not be an error for one who
// stores or copies (manifest.md). New and LayerCompression say what can be run.
func DecodeManifest(raw []byte, mediaType string) (ispec.Manifest, error) {
	const op = "decode manifest"
	mediaType = bareType(mediaType)
	if mediaType != "" && !IsManifest(mediaType) {
		return ispec.Manifest{}, documentError(op, spec.ManifestSchema, fmt.Errorf("%w %q", ErrMediaType, clip(mediaType)))
	}
	var m ispec.Manifest
	names, err := decodeStrict(raw, MaxManifestSize, &m)
	if err != nil {
		return ispec.Manifest{}, documentError(op, spec.DocumentJSON, err)
	}
	if err := checkKind(names, "layers", m.SchemaVersion, m.MediaType, mediaType); err != nil {
		return ispec.Manifest{}, documentError(op, spec.ManifestSchema, err)
	}
	if m.MediaType != "" && !IsManifest(m.MediaType) {
		return ispec.Manifest{}, documentError(op, spec.ManifestSchema, fmt.Errorf("%w %q", ErrMediaType, clip(m.MediaType)))
	}
	if len(m.Layers) > MaxLayers {
		err := fmt.Errorf("%w: %d layers, at most %d are accepted", ErrMalformed, len(m.Layers), MaxLayers)
		return ispec.Manifest{}, documentError(op, spec.Clause{}, err)
	}
	if err := ValidateDescriptor(m.Config); err != nil {
		return ispec.Manifest{}, documentError(op, spec.ManifestSchema, fmt.Errorf("config: %w", err))
	}
	for i, d := range m.Layers {
		if err := ValidateDescriptor(d); err != nil {
			return ispec.Manifest{}, documentError(op, spec.ManifestLayers, fmt.Errorf("layer %d of %d: %w", i+1, len(m.Layers), err))
		}
	}
	if err := checkSubject(m.Subject); err != nil {
		return ispec.Manifest{}, documentError(op, spec.ManifestSchema, err)
	}
	return m, nil
}

// DecodeIndex decodes an image index or a Docker manifest list; mediaType as for DecodeManifest. All
// its descriptors have been checked; their types may be unknown.
func DecodeIndex(raw []byte, mediaType string) (ispec.Index, error) {
	const op = "decode index"
	mediaType = bareType(mediaType)
	if mediaType != "" && !IsIndex(mediaType) {
		return ispec.Index{}, documentError(op, spec.IndexManifests, fmt.Errorf("%w %q", ErrMediaType, clip(mediaType)))
	}
	var x ispec.Index
	names, err := decodeStrict(raw, MaxManifestSize, &x)
	if err != nil {
		return ispec.Index{}, documentError(op, spec.DocumentJSON, err)
	}
	if err := checkKind(names, "manifests", x.SchemaVersion, x.MediaType, mediaType); err != nil {
		return ispec.Index{}, documentError(op, spec.IndexManifests, err)
	}
	if x.MediaType != "" && !IsIndex(x.MediaType) {
		return ispec.Index{}, documentError(op, spec.IndexManifests, fmt.Errorf("%w %q", ErrMediaType, clip(x.MediaType)))
	}
	if len(x.Manifests) > MaxManifests {
		err := fmt.Errorf("%w: %d manifests, at most %d are accepted", ErrMalformed, len(x.Manifests), MaxManifests)
		return ispec.Index{}, documentError(op, spec.Clause{}, err)
	}
	for i, d := range x.Manifests {
		if err := ValidateDescriptor(d); err != nil {
			return ispec.Index{}, documentError(op, spec.IndexManifests, fmt.Errorf("manifest %d of %d: %w", i+1, len(x.Manifests), err))
		}
	}
	if err := checkSubject(x.Subject); err != nil {
		return ispec.Index{}, documentError(op, spec.IndexManifests, err)
	}
	return x, nil
}

// DetectMediaType tells what a document is whose media type nobody announced: by its own mediaType,
// else by which of `layers` and `manifests` it has. It does not prove the document.
func DetectMediaType(raw []byte) (string, error) {
	var probe struct {
		MediaType string `json:"mediaType"`
	}
	names, err := decodeStrict(raw, MaxManifestSize, &probe)
	if err != nil {
		return "", documentError("detect media type", spec.DocumentJSON, err)
	}
	_, layers := names["layers"]
	_, manifests := names["manifests"]
	switch {
	case layers && manifests:
		return "", documentError("detect media type", spec.ManifestSchema, ErrAmbiguous)
	case probe.MediaType != "":
		return probe.MediaType, nil
	case layers:
		return ispec.MediaTypeImageManifest, nil
	case manifests:
		return ispec.MediaTypeImageIndex, nil
	}
	return "", documentError("detect media type", spec.ManifestSchema, fmt.Errorf("%w: neither layers nor manifests", ErrMalformed))
}

// checkKind proves that a document is of one kind only, the one with the list called own, and that
// its media type is the announced one.
func checkKind(names map[string]struct{}, own string, schema int, has, announced string) error {
	_, layers := names["layers"]
	_, config := names["config"]
	_, manifests := names["manifests"]
	if manifests && (layers || config) {
		return ErrAmbiguous
	}
	if schema != 2 {
		return fmt.Errorf("%w: schemaVersion %d, only 2 is known", ErrMalformed, schema)
	}
	if has != "" && announced != "" && has != announced {
		return fmt.Errorf("%w: the document says %q, %q was announced", ErrMediaType, clip(has), clip(announced))
	}
	if _, ok := names[own]; !ok {
		return fmt.Errorf("%w: no %s", ErrMalformed, own)
	}
	return nil
}

func checkSubject(d *ispec.Descriptor) error {
	if d == nil {
		return nil
	}
	if err := ValidateDescriptor(*d); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}
