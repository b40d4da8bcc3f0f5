package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// content is what the registry reads in a manifest or index. Everything else is the client's.
type content struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *ispec.Descriptor `json:"config"`
	Layers       descriptors       `json:"layers"`
	Manifests    *descriptors      `json:"manifests"` // nil in what is no index
	Subject      *ispec.Descriptor `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// descriptors is a list that stops growing: "{}," is three bytes for a client, and forty times that
// in memory.
type descriptors []ispec.Descriptor

// UnmarshalJSON reads the list one by one.
func (l *descriptors) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("%w: descriptors are no array", ErrInvalid)
	}
	*l = descriptors{} // empty is not absent
	for dec.More() {
		if len(*l) == image.MaxManifests {
			return fmt.Errorf("%w: more than %d descriptors", ErrInvalid, image.MaxManifests)
		}
		var d ispec.Descriptor
		if err := dec.Decode(&d); err != nil {
			return err
		}
		*l = append(*l, d)
	}
	return nil
}

// decode reads raw. mediaType is what the client or the store says it is, "" if nothing does.
// The result's MediaType is never empty.
func decode(raw []byte, mediaType string) (content, error) {
	var c content
	if err := json.Unmarshal(raw, &c); err != nil {
		return content{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.Manifests != nil && (c.Layers != nil || c.Config != nil) {
		// One document with two readings is how CVE-2021-41190 hid an image.
		return content{}, fmt.Errorf("%w: both an index and an image manifest", ErrInvalid)
	}
	switch {
	case mediaType != "" && c.MediaType != "" && mediaType != c.MediaType:
		return content{}, fmt.Errorf("%w: media type %q inside, %q outside", ErrInvalid, c.MediaType, mediaType)
	case mediaType != "":
		c.MediaType = mediaType
	case c.MediaType == "" && c.Manifests != nil:
		c.MediaType = ispec.MediaTypeImageIndex
	case c.MediaType == "":
		c.MediaType = ispec.MediaTypeImageManifest
	}
	isIndex := c.MediaType == ispec.MediaTypeImageIndex || c.MediaType == image.DockerManifestList
	isImage := c.MediaType == ispec.MediaTypeImageManifest || c.MediaType == image.DockerManifest
	if isIndex && c.Manifests == nil || isImage && c.Manifests != nil {
		return content{}, fmt.Errorf("%w: not a %s", ErrInvalid, c.MediaType)
	}
	if c.Subject != nil && c.Subject.Digest.Validate() != nil {
		return content{}, fmt.Errorf("%w: subject digest %q", ErrInvalid, c.Subject.Digest)
	}
	return c, nil
}

// Referrer gives the subject of m and the descriptor of m that a referrers list shows: with the
// artifact type (the manifest's, else the config's media type, none for an index) and all
// annotations. The subject is "" if m has none.
func Referrer(m Manifest) (subject digest.Digest, d ispec.Descriptor) {
	c, err := decode(m.Raw, m.Descriptor.MediaType)
	if err != nil || c.Subject == nil {
		return "", ispec.Descriptor{}
	}
	return c.Subject.Digest, c.referrer(m)
}

func (c content) referrer(m Manifest) ispec.Descriptor {
	d := ispec.Descriptor{
		MediaType:    c.MediaType,
		Digest:       m.Descriptor.Digest,
		Size:         int64(len(m.Raw)),
		ArtifactType: c.ArtifactType,
		Annotations:  c.Annotations,
	}
	if d.ArtifactType == "" && c.Config != nil {
		d.ArtifactType = c.Config.MediaType
	}
	return d
}

// blobs lists what a manifest needs beside it: the config and the layers that are meant to be
// distributed. Children of an index are not asked for: sparse indexes are allowed.
func (c content) blobs() []ispec.Descriptor {
	var list []ispec.Descriptor
	if c.Config != nil {
		list = append(list, *c.Config)
	}
	for _, l := range c.Layers {
		if len(l.URLs) == 0 && !image.IsForeign(l.MediaType) {
			list = append(list, l)
		}
	}
	return list
}

// children lists the manifests of an index.
func (c content) children() []ispec.Descriptor {
	if c.Manifests == nil {
		return nil
	}
	return *c.Manifests
}
