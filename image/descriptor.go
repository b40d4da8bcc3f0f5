package image

import (
	"fmt"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// ValidateDescriptor proves what descriptor.md asks of a descriptor before anything is fetched by
// it: a media type of the RFC 6838 grammar, a digest of a known algorithm, a size that is not
// negative, and embedded data that is the content. The errors are ErrMediaType, those of
// ValidateDigest, and for the rest ErrMalformed or a mismatch.
func ValidateDescriptor(d ispec.Descriptor) error {
	if err := ValidateDigest(d.Digest); err != nil {
		return err
	}
	fail := func(c spec.Clause, err error) error {
		return &Error{Op: "check descriptor", Subject: d.Digest.String(), Clause: c, Err: err}
	}
	if !ValidMediaType(d.MediaType) {
		return fail(spec.DescriptorMediaType, fmt.Errorf("%w %q", ErrMediaType, clip(d.MediaType)))
	}
	if d.Size < 0 {
		return fail(spec.DescriptorSize, fmt.Errorf("%w: negative size %d", ErrMalformed, d.Size))
	}
	if d.ArtifactType != "" && !ValidMediaType(d.ArtifactType) {
		return fail(spec.DescriptorArtifact, fmt.Errorf("%w %q as artifactType", ErrMediaType, clip(d.ArtifactType)))
	}
	if len(d.Data) > 0 {
		if err := VerifyBytes(d.Data, d.Digest, d.Size); err != nil {
			return fail(spec.DescriptorData, err)
		}
	}
	return nil
}

// ValidMediaType tells whether s is type "/" subtype of RFC 6838 section 4.2: each part 1 to 127
// characters, the first a letter or digit. Parameters are not allowed in a descriptor.
func ValidMediaType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && restrictedName(kind) && restrictedName(sub)
}

func restrictedName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0:
		default:
			return false
		}
	}
	return true
}
