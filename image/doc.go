// Package image holds what an image is once it has been checked: descriptors, manifests, indexes,
// configs, platforms, and the readers that prove content against its descriptor. It touches neither
// disk nor network.
//
// It promises that a value it returns has been checked. Every decoder is bounded (bytes, nesting,
// number of entries) and strict: a name given twice in a JSON object, a document that could be read
// both as an index and as a manifest (CVE-2021-41190), a media type that disagrees with the one
// expected, a digest that is not of the registered grammar, a negative size: each is an error.
// encoding/json matches names without regard to case; these decoders do not, so no document means
// one thing here and another elsewhere.
//
// It refuses to guess. An absent digest is an error and not "nothing to check", an unknown digest
// algorithm likewise, and an index without a manifest for the platform gives ErrNoPlatform with the
// platforms that it has.
//
// Docker's v2 schema 2 manifests, manifest lists, configs and layers are accepted as the equals of
// the OCI ones, as media-types.md says; schema 1 is not. Raw bytes are kept and never marshalled
// again: the digest is over them.
//
// Implements image-spec descriptor.md, manifest.md, image-index.md, config.md, media-types.md
// (v1.1.1), and the JSON rules of considerations.md.
package image
