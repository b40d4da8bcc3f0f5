package validate

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// emptyDigest is that of "{}", the content of the empty descriptor.
const emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// described is a descriptor as far as it can be used.
type described struct {
	ispec.Descriptor
	pointer string
	sized   bool // Size is what it says
	// usable tells that its digest is one whose content can be found and proved here, and its size is known.
	usable bool
}

// descriptor judges a descriptor. c is the clause that wants one here, for what is no object.
func (d *doc) descriptor(n *node, pointer string, c spec.Clause) described {
	out := described{pointer: pointer}
	if !d.is(n, object, pointer, c) {
		return out
	}
	d.names(n, pointer, "mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
	if v := d.required(n, text, pointer, "mediaType", spec.DescriptorMediaType, "the type of the content, such as "+ispec.MediaTypeImageManifest); v != nil {
		out.MediaType = v.text
		d.mediaType(v.text, under(pointer, "mediaType"), spec.DescriptorMediaType)
	}
	if v := d.required(n, text, pointer, "digest", spec.DescriptorDigest, "the digest of the content, such as "+emptyDigest); v != nil {
		out.Digest = digest.Digest(v.text)
		d.digest(v.text, under(pointer, "digest"))
	}
	d.size(n, pointer, &out)
	d.urls(n, pointer, &out)
	d.annotations(n, pointer, "annotations")
	if a, ok := d.string(n, pointer, "artifactType", spec.DescriptorArtifact); ok {
		out.ArtifactType = a
		d.mediaType(a, under(pointer, "artifactType"), spec.DescriptorArtifact)
	}
	out.usable = out.sized && image.ValidateDigest(out.Digest) == nil
	d.data(n, pointer, &out)
	if out.MediaType == ispec.MediaTypeEmptyJSON && (out.Digest != emptyDigest || out.sized && out.Size != 2) {
		d.add(pointer, spec.ManifestEmpty, "digest "+emptyDigest+", size 2", ErrInvalid, "the empty descriptor names another content than {}")
	}
	if m := n.get("annotations"); m != nil && m.kind == object {
		if v := m.get(ispec.AnnotationRefName); v != nil && v.kind == text {
			out.Annotations = map[string]string{ispec.AnnotationRefName: v.text}
		}
	}
	return out
}

// mediaType asks for the grammar of RFC 6838.
func (d *doc) mediaType(s, pointer string, c spec.Clause) {
	if !image.ValidMediaType(s) {
		d.add(pointer, c, "type/subtype, each of 1 to 127 letters, digits and !#$&-^_.+", ErrInvalid, "%q is no media type of RFC 6838", clip(s))
	}
}

// digest judges a digest by its grammar and that of its algorithm.
func (d *doc) digest(s, pointer string) {
	algorithm, encoded, _ := strings.Cut(s, ":")
	length := encodedLength(algorithm)
	switch {
	case !digestGrammar(s):
		d.add(pointer, spec.DescriptorDigest, "algorithm:encoded, such as sha256: and 64 digits of lower case hex", ErrInvalid, "%q is no digest", clip(s))
	case length == 0:
		d.add(pointer, spec.DescriptorSHA256, "a sha256 digest", ErrUnusual, "the algorithm %q is not registered, and few can prove such content", clip(algorithm))
	case len(encoded) != length || !of(encoded, digits+"abcdef"):
		d.add(pointer, spec.DescriptorAlgorithm, strconv.Itoa(length)+" digits of lower case hex", ErrInvalid, "%q is no %s", clip(s), algorithm)
	case algorithm != "sha256":
		d.add(pointer, spec.DescriptorSHA256, "a sha256 digest", ErrUnusual, "support of %s is OPTIONAL", algorithm)
	}
}

func (d *doc) size(n *node, pointer string, out *described) {
	v := d.required(n, number, pointer, "size", spec.DescriptorSize, "the number of bytes of the content")
	if v == nil {
		return
	}
	size, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || size < 0 {
		d.add(under(pointer, "size"), spec.DescriptorSize, "a whole number of bytes, not negative", ErrInvalid, "%s is no size", clip(v.text))
		return
	}
	out.Size, out.sized = size, true
}

func (d *doc) urls(n *node, pointer string, out *described) {
	out.URLs = d.strings(n, pointer, "urls", spec.DescriptorURLs)
	for i, u := range out.URLs {
		place := at(under(pointer, "urls"), i)
		switch scheme, _, _ := strings.Cut(strings.ToLower(u), ":"); {
		case u == "" && n.get("urls").values[i].kind != text:
		case !uri(u):
			d.add(place, spec.DescriptorURLs, "such as https://example.com/blob", ErrInvalid, "%q is no URI of RFC 3986", clip(u))
		case scheme != "https" && scheme != "http":
			d.add(place, spec.DescriptorURLScheme, "a URL of https or http", ErrUnusual, "the scheme %q is not http or https", clip(scheme))
		}
	}
}

// data judges embedded content, which is proved here and then.
func (d *doc) data(n *node, pointer string, out *described) {
	encoded, ok := d.string(n, pointer, "data", spec.DescriptorData)
	if !ok {
		return
	}
	place := under(pointer, "data")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		d.add(place, spec.DescriptorData, "base64 of RFC 4648 section 4, with padding", ErrInvalid, "not base64")
		return
	}
	if !out.usable {
		return
	}
	err = image.VerifyBytes(raw, out.Digest, out.Size)
	switch {
	case errors.Is(err, image.ErrSizeMismatch):
		d.add(place, spec.DescriptorData, "the content itself, or nothing", ErrMismatch, "%d bytes are embedded, and size is %d", len(raw), out.Size)
	case err != nil:
		d.add(place, spec.DescriptorData, "the content itself, or nothing", ErrMismatch, "the digest of what is embedded is %s", out.Digest.Algorithm().FromBytes(raw))
	default:
		out.Data = raw
		if raw == nil {
			out.Data = []byte{}
		}
	}
}
