package validate

import (
	"errors"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// The media types of documents that image-spec gives no constant for in its list of manifests and configs.
const (
	descriptorType = ispec.MediaTypeDescriptor
	layoutType     = ispec.MediaTypeLayoutHeader
)

// Document judges one document by itself, without a look at what it names: an index, a manifest, a config, a descriptor or the file
// oci-layout. mediaType is its type, Docker's equals included; for "" it is found out by the document's mediaType or by its properties.
// known is false for a type that is none of these, of which nothing is judged.
func Document(raw []byte, mediaType string) (r Report, known bool) {
	rep := newReporter()
	d := &doc{r: rep}
	n := d.parse(raw, mediaType)
	if n != nil && mediaType == "" {
		mediaType = detect(n)
	}
	known = n == nil || d.judge(n, mediaType)
	return rep.done(), known
}

// parse reads a document, and tells what is wrong with its text; nil if nothing can be said about its properties.
func (d *doc) parse(raw []byte, mediaType string) *node {
	d.r.count(func(r *Report) { r.Documents++ })
	limit := image.MaxManifestSize
	if image.IsConfig(mediaType) {
		limit = image.MaxConfigSize
	}
	c := spec.DocumentSyntax
	if mediaType == layoutType {
		c = spec.LayoutFiles
	}
	n, err := parse(raw, limit)
	if err != nil {
		p := &Problem{Where: d.where, Clause: c, Err: err, Hint: "a JSON object"}
		if errors.Is(err, ErrTooLarge) {
			p.Clause, p.Hint = spec.Clause{}, "a smaller document"
		}
		d.r.add(p)
		return nil
	}
	d.twice(n, "", false)
	if !d.is(n, object, "", c) {
		return nil
	}
	return n
}

// judge judges a document of a type that is known.
func (d *doc) judge(n *node, mediaType string) bool {
	switch {
	case image.IsManifest(mediaType):
		d.manifest(n, mediaType)
	case image.IsIndex(mediaType):
		d.indexDocument(n, mediaType)
	case image.IsConfig(mediaType):
		d.docker(mediaType)
		d.config(n)
	case mediaType == descriptorType:
		d.descriptor(n, "", spec.DocumentSyntax)
	case mediaType == layoutType:
		d.layoutHeader(n)
	default:
		return false
	}
	return true
}

// docker tells of a config of Docker's type.
func (d *doc) docker(mediaType string) {
	if mediaType == image.DockerConfig {
		d.add("", spec.MediaTypeDocker, ispec.MediaTypeImageConfig, ErrUnusual, "of Docker's type, not an OCI config")
	}
}

// detect tells the type of a document that nobody has said.
func detect(n *node) string {
	if v := n.get("mediaType"); v != nil && v.kind == text && (image.IsManifest(v.text) || image.IsIndex(v.text)) && n.get("digest") == nil {
		return v.text
	}
	for _, of := range [...]struct{ property, mediaType string }{
		{"manifests", ispec.MediaTypeImageIndex},
		{"layers", ispec.MediaTypeImageManifest},
		{"config", ispec.MediaTypeImageManifest}, // of a config its rootfs says more
		{"imageLayoutVersion", layoutType},
		{"digest", descriptorType},
	} {
		if n.get(of.property) != nil && n.get("rootfs") == nil && n.get("architecture") == nil {
			return of.mediaType
		}
	}
	if n.get("rootfs") != nil || n.get("architecture") != nil {
		return ispec.MediaTypeImageConfig
	}
	return ""
}

// layoutHeader judges the file oci-layout.
func (d *doc) layoutHeader(n *node) {
	d.names(n, "", "imageLayoutVersion")
	v := d.required(n, text, "", "imageLayoutVersion", spec.LayoutFiles, ispec.ImageLayoutVersion)
	if v != nil && v.text != ispec.ImageLayoutVersion {
		d.add("/imageLayoutVersion", spec.LayoutVersion, ispec.ImageLayoutVersion, ErrInvalid, "%q is no version of image-layout.md", clip(v.text))
	}
}
