package validate

import (
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image/reference"
)

// ociPrefix is reserved for the specifications.
const ociPrefix = "org.opencontainers."

// imagePrefix is reserved for image-spec.
const imagePrefix = ociPrefix + "image."

// defined are the keys below imagePrefix that image-spec defines in annotations.md, and in conversion.md for what a converter writes.
func defined() []string {
	return []string{
		"created", "authors", "url", "documentation", "source", "version", "revision", "vendor", "licenses", "ref.name", "title", "description",
		"base.digest", "base.name", "os", "architecture", "variant", "os.version", "os.features", "author", "stopSignal", "exposedPorts",
	}
}

// definedElsewhere are keys of other specifications of the OCI: distribution-spec 1.1, and the release candidates of image-spec 1.1.
func definedElsewhere() []string {
	return []string{
		"org.opencontainers.referrers.filtersApplied", "org.opencontainers.artifact.created", "org.opencontainers.artifact.description",
		"org.opencontainers.image.artifact.type",
	}
}

// annotations judges what an object has under a key: annotations, or the labels of a config.
func (d *doc) annotations(n *node, pointer, key string) {
	m := d.member(n, object, pointer, key, spec.AnnotationRules)
	if m == nil {
		return
	}
	pointer = under(pointer, key)
	for i, name := range m.keys {
		v := m.values[i]
		place := under(pointer, name)
		if !strings.Contains(name, ".") {
			d.add(place, spec.AnnotationDomain, "a name such as com.example."+clip(name), ErrUnusual, "%q is not in reverse domain notation", clip(name))
		}
		if v.kind != text {
			d.is(v, text, place, spec.AnnotationRules)
			continue
		}
		if name == ociPrefix[:len(ociPrefix)-1] || strings.HasPrefix(name, ociPrefix) {
			d.reserved(name, v.text, place)
		}
		if rest, ok := strings.CutPrefix(name, "org.label-schema."); ok {
			d.add(place, spec.AnnotationLabels, "a key that begins with "+imagePrefix, ErrUnusual, "%s of Label Schema is superseded", clip(rest))
		}
	}
	if m.get(imagePrefix+"base.name") != nil && m.get(imagePrefix+"base.digest") == nil {
		d.add(under(pointer, imagePrefix+"base.digest"), spec.AnnotationBase, "the digest of the manifest that base.name names", ErrMissing, "a base is named, and which one it was is not told")
	}
}

// reserved judges an annotation of the namespace of the OCI.
func (d *doc) reserved(name, value, place string) {
	key, ok := strings.CutPrefix(name, imagePrefix)
	if !ok || !slices.Contains(defined(), key) {
		if !slices.Contains(definedElsewhere(), name) {
			d.add(place, spec.AnnotationPrefix, "a domain of one's own, such as com.example", ErrInvalid, "%q is reserved, and no specification of the OCI defines it", clip(name))
		}
		return
	}
	bad := func(c spec.Clause, hint, what string) {
		d.add(place, c, hint, ErrInvalid, "%q is no %s", clip(value), what)
	}
	switch key {
	case "created":
		if !dateTime(value) {
			bad(spec.AnnotationCreated, "such as 2026-01-31T15:04:05Z", "date-time of RFC 3339")
		}
	case "url", "documentation", "source":
		if value != "" && !uri(value) {
			bad(spec.AnnotationURL, "such as https://example.com/", "URL")
		}
	case "licenses":
		if value != "" && !licenses(value) {
			bad(spec.AnnotationLicenses, "such as Apache-2.0 OR MIT", "SPDX license expression")
		}
	case "ref.name":
		if !d.index || strings.Count(place, "/") != 4 {
			d.add(place, spec.AnnotationRefPlace, "it on a descriptor of index.json, or not at all", ErrUnusual, "the name counts on descriptors of a layout's index.json only")
		}
		if !refName(value) {
			bad(spec.AnnotationRefName, "letters and digits, with single -._:@+/ or -- between", "name by the grammar")
		}
	case "base.digest":
		if !digestGrammar(value) {
			bad(spec.AnnotationBaseDigest, "such as sha256:... of the base's manifest", "digest")
		}
	case "base.name":
		if r, err := reference.Parse(value); err != nil || r.Transport != reference.Registry || !strings.ContainsAny(firstComponent(value), ".:") && firstComponent(value) != "localhost" {
			bad(spec.AnnotationBase, "such as registry.example.com/my-org/my-image:tag", "full reference of an image in a registry")
		}
	}
}

// firstComponent is where a full reference has its registry; "" if there is no other component.
func firstComponent(s string) string {
	first, _, ok := strings.Cut(s, "/")
	if !ok {
		return ""
	}
	return first
}
