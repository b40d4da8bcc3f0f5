package validate

import (
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// manifest is what a manifest says, as far as it can be used.
type manifest struct {
	config   described
	layers   []described
	subject  *described
	artifact string
}

// isImage tells whether the manifest is of a container image, whose config and layers are judged.
func (m manifest) isImage() bool { return image.IsConfig(m.config.MediaType) }

// manifest judges an image manifest. announced is the type by which it was asked for; "" if nothing did.
func (d *doc) manifest(n *node, announced string) manifest {
	var m manifest
	d.names(n, "", "schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations")
	d.head(n, announced, headRules{
		ispec.MediaTypeImageManifest, image.DockerManifest, "manifests",
		spec.ManifestSchema, spec.ManifestMediaType, spec.ManifestMediaTypeUse,
	})
	if v := d.required(n, object, "", "config", spec.ManifestConfig, "the descriptor of the config, or the empty descriptor"); v != nil {
		m.config = d.descriptor(v, "/config", spec.ManifestConfig)
	}
	if v := d.required(n, array, "", "layers", spec.ManifestLayers, "an array of descriptors, base first"); v != nil {
		for i, e := range v.values {
			m.layers = append(m.layers, d.descriptor(e, at("/layers", i), spec.ManifestLayers))
		}
		if len(v.values) == 0 {
			d.add("/layers", spec.ManifestNoLayers, "one layer at least: of an artifact without any, the empty descriptor", ErrUnusual, "no layers, which some registries refuse")
		}
	}
	m.subject = d.subject(n, spec.ManifestSubject)
	d.annotations(n, "", "annotations")
	m.artifact = d.artifact(n, m)
	d.layerTypes(m)
	return m
}

// headRules are what a manifest and an index want of their first properties.
type headRules struct {
	own, docker            string // media types
	other                  string // a property of documents of the other kind
	schema, mediaType, use spec.Clause
}

// head judges schemaVersion and mediaType.
func (d *doc) head(n *node, announced string, r headRules) {
	if v := d.required(n, number, "", "schemaVersion", r.schema, "2"); v != nil && v.text != "2" {
		d.add("/schemaVersion", r.schema, "2", ErrInvalid, "%s", clip(v.text))
	}
	if n.get(r.other) != nil {
		d.add(under("", r.other), spec.DocumentAmbiguous, "leave it out", ErrUnusual, "a manifest and an index at once, which readers may take for one or the other")
	}
	own, ok := d.string(n, "", "mediaType", r.mediaType)
	want := announced
	if want != r.own && want != r.docker {
		want = r.own
		if own == r.docker {
			want = r.docker
		}
	}
	if want == r.docker {
		d.add("/mediaType", spec.MediaTypeDocker, r.own, ErrUnusual, "of Docker's type, not an OCI image; it is judged by the rules of the OCI document that it is the equal of")
	}
	switch {
	case n.get("mediaType") == nil:
		d.add("/mediaType", r.use, want, ErrMissing, "without it a reader has to guess what this is")
	case ok && own != want && want == r.docker:
		d.add("/mediaType", spec.MediaTypeConflict, want, ErrMismatch, "%q, and the descriptor says %q", clip(own), want)
	case ok && own != want:
		d.add("/mediaType", r.mediaType, want, ErrInvalid, "%q", clip(own))
	}
}

// subject judges the manifest that a document is about.
func (d *doc) subject(n *node, c spec.Clause) *described {
	v := d.member(n, object, "", "subject", c)
	if v == nil {
		return nil
	}
	s := d.descriptor(v, "/subject", c)
	if image.IsConfig(s.MediaType) || isLayer(s.MediaType) || s.MediaType == ispec.MediaTypeEmptyJSON {
		d.add("/subject/mediaType", c, "the descriptor of a manifest or an index", ErrInvalid, "%q is no manifest", s.MediaType)
	}
	return &s
}

func isLayer(mediaType string) bool {
	_, err := image.LayerCompression(mediaType)
	return err == nil
}

// artifact judges what makes a manifest one of an artifact, and gives its type.
func (d *doc) artifact(n *node, m manifest) string {
	kind, ok := d.string(n, "", "artifactType", spec.ManifestArtifactType)
	if ok {
		d.mediaType(kind, "/artifactType", spec.ManifestArtifactType)
	}
	switch {
	case m.config.MediaType == ispec.MediaTypeEmptyJSON && kind == "" && (n.get("artifactType") == nil || ok):
		d.add("/artifactType", spec.ManifestEmptyConfig, "the type of the artifact, such as application/vnd.example+type", ErrMissing, "config is the empty descriptor, so only artifactType can tell what this is")
	case kind != "" && m.isImage():
		d.add("/config/mediaType", spec.ManifestArtifact, ispec.MediaTypeEmptyJSON+", or a type of the artifact's own", ErrInvalid, "the config of a container image in an artifact")
	}
	if kind == "" && !m.isImage() {
		kind = m.config.MediaType
	}
	return kind
}

// layerTypes judges the types of layers, which are free in an artifact.
func (d *doc) layerTypes(m manifest) {
	empty := len(m.layers) > 0
	for _, l := range m.layers {
		place := under(l.pointer, "mediaType")
		switch {
		case image.IsForeign(l.MediaType):
			d.add(place, spec.LayerForeign, "a type of layers without nondistributable or foreign", ErrUnusual, "non-distributable layers are deprecated")
		case m.isImage() && l.MediaType != "" && !isLayer(l.MediaType):
			d.add(place, spec.ManifestLayerType, ispec.MediaTypeImageLayerGzip, ErrUnusual, "%q is no layer that every runtime has to know", clip(l.MediaType))
		}
		empty = empty && l.sized && l.Size == 0
	}
	if empty && m.config.MediaType != "" && !m.isImage() {
		d.add("/layers", spec.ManifestEmptyLayer, "a layer of some bytes, or the empty descriptor", ErrUnusual, "no layer has content")
	}
}

// index is what an index says, as far as it can be used.
type index struct {
	entries   []described
	platforms []*ispec.Platform // of the entries; nil of those that have none
	subject   *described
}

// indexDocument judges an image index, and the index.json of a layout.
func (d *doc) indexDocument(n *node, announced string) index {
	var x index
	d.names(n, "", "schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations")
	d.head(n, announced, headRules{
		ispec.MediaTypeImageIndex, image.DockerManifestList, "layers",
		spec.IndexSchema, spec.IndexMediaType, spec.IndexMediaTypeUse,
	})
	if kind, ok := d.string(n, "", "artifactType", spec.IndexArtifactType); ok {
		d.mediaType(kind, "/artifactType", spec.IndexArtifactType)
	}
	if v := d.required(n, array, "", "manifests", spec.IndexManifests, "an array of descriptors, which may be empty"); v != nil {
		for i, e := range v.values {
			entry, p := d.indexEntry(e, at("/manifests", i))
			x.entries, x.platforms = append(x.entries, entry), append(x.platforms, p)
		}
	}
	x.subject = d.subject(n, spec.IndexSubject)
	d.annotations(n, "", "annotations")
	if d.index {
		d.refNames(x)
	} else {
		d.platformsTwice(x)
	}
	return x
}

// indexEntry judges an element of manifests.
func (d *doc) indexEntry(n *node, pointer string) (described, *ispec.Platform) {
	entry := d.descriptor(n, pointer, spec.IndexManifests)
	if n.kind != object {
		return entry, nil
	}
	if t := entry.MediaType; t != "" && image.ValidMediaType(t) && !image.IsManifest(t) && !image.IsIndex(t) {
		d.add(under(pointer, "mediaType"), spec.IndexPortable, ispec.MediaTypeImageManifest+" or "+ispec.MediaTypeImageIndex, ErrUnusual, "%q is neither a manifest nor an index, and readers pass over it", clip(t))
	}
	v := d.member(n, object, pointer, "platform", spec.PlatformRequired)
	if v == nil {
		if image.IsManifest(entry.MediaType) && entry.ArtifactType == "" && n.get("platform") == nil {
			d.add(under(pointer, "platform"), spec.DescriptorPlatform, `such as {"os": "linux", "architecture": "amd64"}`, ErrMissing, "who chooses by the platform has to read the config first")
		}
		return entry, nil
	}
	place := under(pointer, "platform")
	d.names(v, place, "architecture", "os", "os.version", "os.features", "variant", "features")
	p, known := d.platform(v, place, platformRules{spec.PlatformRequired, spec.PlatformName, spec.PlatformName, spec.PlatformFeature, spec.PlatformVariant})
	if v.get("features") != nil {
		d.add(under(place, "features"), spec.PlatformReserved, "leave it out", ErrUnusual, "reserved for future versions of image-spec")
	}
	if !known {
		return entry, nil
	}
	return entry, &p
}

// platformsTwice tells which entries are never chosen, since one before has the same platform.
func (d *doc) platformsTwice(x index) {
	var seen []ispec.Platform
	for i, p := range x.platforms {
		if p == nil || p.OS == "unknown" || x.entries[i].ArtifactType != "" { // an attestation, or what else is no image
			continue
		}
		if slices.ContainsFunc(seen, func(o ispec.Platform) bool { return samePlatform(o, *p) }) {
			d.add(under(x.entries[i].pointer, "platform"), spec.PlatformTwice, "each platform once", ErrUnusual, "an entry before is for %s too, and is the one that is chosen", clip(image.FormatPlatform(*p)))
		} else if len(seen) < 1000 {
			seen = append(seen, *p)
		}
	}
}

// refNames tells which names of a layout mean more than one thing.
func (d *doc) refNames(x index) {
	meaning := map[string]described{}
	for _, e := range x.entries {
		name, ok := e.Annotations[ispec.AnnotationRefName]
		if !ok {
			continue
		}
		if first, again := meaning[name]; again && first.Digest != e.Digest {
			d.add(under(e.pointer, "annotations")+"/"+ispec.AnnotationRefName, spec.LayoutRefName, "each name once", ErrUnusual, "%q names %s too", clip(name), clip(string(first.Digest)))
		} else if !again {
			meaning[name] = e
		}
	}
}
