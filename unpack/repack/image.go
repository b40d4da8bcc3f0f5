package repack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// The annotations by which an image tells what it is based on (annotations.md).
const (
	annotationBaseDigest = "org.opencontainers.image.base.digest"
	annotationBaseName   = "org.opencontainers.image.base.name"
)

// Image says what a new image is made of.
type Image struct {
	Base     image.Image
	BaseName string // reference of the base in a registry, for the annotation; may be ""
	Layer    *Layer // nil: none is added
	// Squash makes the layer the only one; the steps of the base stay in the history, as such without a layer.
	Squash  bool
	Created time.Time
	Author  string // "" leaves the base's in the config
	// CreatedBy and Comment are for the step in the history.
	CreatedBy, Comment string
	// Changes edit the config, as the instructions of a Dockerfile of these names do: CMD, ENTRYPOINT, ENV,
	// EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
	Changes []string
}

// same tells that the new image is its base.
func (i *Image) same() bool {
	return i.Layer == nil && i.Author == "" && i.Comment == "" && i.CreatedBy == "" && len(i.Changes) == 0
}

// Build makes manifest and config, and proves them as those of any image. The kind of documents (OCI's or
// Docker's) is that of the base, and all that the base's config says beyond the specification stays.
// With nothing to change it gives the base. Errors are *Error with ErrChange or ErrConfig, or those of image.New.
func (i Image) Build() (image.Image, error) {
	if i.same() {
		return i.Base, nil
	}
	configRaw, err := i.config()
	if err != nil {
		return image.Image{}, err
	}
	m := i.manifest(ispec.Descriptor{
		MediaType: i.Base.Manifest().Config.MediaType, Digest: digest.FromBytes(configRaw), Size: int64(len(configRaw)),
	})
	raw, err := json.Marshal(m)
	if err != nil {
		return image.Image{}, &Error{Op: "encode manifest", Err: err}
	}
	d := ispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return image.New(d, raw, configRaw)
}

// Docker tells whether an image has Docker's media types; a layer that is added to it then has too.
func Docker(base image.Image) bool { return base.Descriptor().MediaType == image.DockerManifest }

func (i *Image) manifest(config ispec.Descriptor) ispec.Manifest {
	old := i.Base.Manifest()
	m := ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: i.Base.Descriptor().MediaType,
		Config: config, Layers: slices.Clone(old.Layers), Annotations: maps.Clone(old.Annotations),
	}
	if i.Squash {
		m.Layers = nil
	}
	if i.Layer != nil {
		m.Layers = append(m.Layers, i.Layer.Descriptor)
	}
	if Docker(i.Base) { // whose manifests have no annotations
		return m
	}
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	if _, ok := m.Annotations[ispec.AnnotationCreated]; ok {
		m.Annotations[ispec.AnnotationCreated] = i.Created.UTC().Format(time.RFC3339Nano)
	}
	delete(m.Annotations, annotationBaseName)
	delete(m.Annotations, annotationBaseDigest)
	if !i.Squash { // it says whose first layers these are
		m.Annotations[annotationBaseDigest] = i.Base.Descriptor().Digest.String()
		if i.BaseName != "" {
			m.Annotations[annotationBaseName] = i.BaseName
		}
	}
	return m
}

// object is a JSON object of which only some members are looked at: the others stay as they are.
type object map[string]json.RawMessage

// member decodes a member into v, which keeps its value if there is none.
func (o object) member(name string, v any) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return &Error{Op: "edit", Subject: name, Err: fmt.Errorf("%w: %w", ErrConfig, err)}
	}
	return nil
}

func (o object) set(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return &Error{Op: "edit", Subject: name, Err: fmt.Errorf("%w: %w", ErrConfig, err)}
	}
	o[name] = raw
	return nil
}

// config edits the base's config.
func (i *Image) config() ([]byte, error) {
	var top object
	if err := json.Unmarshal(i.Base.ConfigRaw(), &top); err != nil {
		return nil, &Error{Op: "edit", Err: fmt.Errorf("%w: %w", ErrConfig, err)}
	}
	settings := object{}
	if err := top.member("config", &settings); err != nil {
		return nil, err
	}
	if len(i.Changes) > 0 {
		if settings == nil { // null
			settings = object{}
		}
		if err := applyChanges(settings, i.Changes); err != nil {
			return nil, err
		}
		if err := top.set("config", settings); err != nil {
			return nil, err
		}
	}
	if i.Author != "" {
		if err := top.set("author", i.Author); err != nil {
			return nil, err
		}
	}
	created := i.Created.UTC()
	if err := top.set("created", created); err != nil {
		return nil, err
	}
	if err := i.setLayers(top); err != nil {
		return nil, err
	}
	if err := i.setHistory(top, created); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(top)
	if err != nil {
		return nil, &Error{Op: "encode config", Err: err}
	}
	return raw, nil
}

// setLayers lists the DiffIDs.
func (i *Image) setLayers(top object) error {
	rootfs := object{}
	if err := top.member("rootfs", &rootfs); err != nil {
		return err
	}
	var ids []digest.Digest
	if !i.Squash {
		for _, l := range i.Base.Layers() {
			ids = append(ids, l.DiffID)
		}
	}
	if i.Layer != nil {
		ids = append(ids, i.Layer.DiffID)
	}
	if rootfs == nil {
		rootfs = object{}
	}
	if ids == nil {
		ids = []digest.Digest{}
	}
	if err := rootfs.set("diff_ids", ids); err != nil {
		return err
	}
	return top.set("rootfs", rootfs)
}

// setHistory adds a step. A base whose history is shorter than its layers gets steps of which nothing is
// known, so that the new one stands with its own layer.
func (i *Image) setHistory(top object, created time.Time) error {
	var steps []object
	if err := top.member("history", &steps); err != nil {
		return err
	}
	layers := len(i.Base.Layers())
	for k, s := range steps {
		empty := false
		if err := s.member("empty_layer", &empty); err != nil {
			return err
		}
		if !empty {
			layers--
		}
		if i.Squash && s != nil {
			steps[k]["empty_layer"] = json.RawMessage("true")
		}
	}
	for range max(layers, 0) {
		if !i.Squash {
			steps = append(steps, object{})
		}
	}
	by := i.CreatedBy
	if by == "" {
		by = "oci repack"
	}
	step := object{}
	if err := step.set("created", created); err != nil {
		return err
	}
	for name, value := range map[string]string{"created_by": by, "author": i.Author, "comment": i.Comment} {
		if value == "" {
			continue
		}
		if err := step.set(name, value); err != nil {
			return err
		}
	}
	if i.Layer == nil {
		step["empty_layer"] = json.RawMessage("true")
	}
	return top.set("history", append(steps, step))
}
