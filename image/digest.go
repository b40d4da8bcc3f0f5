package image

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image/internal/pairhash"
)

// ValidateDigest proves that d is a digest of a registered algorithm, sha256 or sha512, in lower
// case hex of the right length. Only after it may d.Algorithm and d.Encoded be called (they panic
// otherwise) or d be made part of a path (CVE-2024-3727). It gives ErrNoDigest, ErrDigestInvalid or
// ErrAlgorithm.
func ValidateDigest(d digest.Digest) error {
	if d == "" {
		return &Error{Op: "check digest", Clause: spec.DescriptorDigest, Err: ErrNoDigest}
	}
	subject := fmt.Sprintf("%q", clip(string(d)))
	algorithm, encoded, ok := strings.Cut(string(d), ":")
	if !ok || algorithm == "" || encoded == "" {
		return &Error{Op: "check digest", Subject: subject, Clause: spec.DescriptorDigest, Err: ErrDigestInvalid}
	}
	size := 0
	switch digest.Algorithm(algorithm) {
	case digest.SHA256:
		size = sha256.Size
	case digest.SHA512:
		size = sha512.Size
	default:
		if errors.Is(d.Validate(), digest.ErrDigestInvalidFormat) {
			return &Error{Op: "check digest", Subject: subject, Clause: spec.DescriptorDigest, Err: ErrDigestInvalid}
		}
		return &Error{Op: "check digest", Subject: subject, Clause: spec.DescriptorAlgorithm, Err: ErrAlgorithm}
	}
	if len(encoded) != 2*size || strings.Trim(encoded, "0123456789abcdef") != "" {
		return &Error{Op: "check digest", Subject: subject, Clause: spec.DescriptorAlgorithm, Err: ErrDigestInvalid}
	}
	return nil
}

// NewHash gives the hash that d is of. It proves d first, with the errors of ValidateDigest.
func NewHash(d digest.Digest) (hash.Hash, error) {
	if err := ValidateDigest(d); err != nil {
		return nil, err
	}
	if d.Algorithm() == digest.SHA512 {
		return sha512.New(), nil
	}
	return sha256.New(), nil
}

// Hashes makes hashes that help each other where the processor can hash two messages in the time of one:
// those that goroutines write to at the same time, in pieces of 64 KiB or more. The zero value is
// ready, and it may be used by several goroutines.
type Hashes struct{ pairs pairhash.Pairs }

// New is NewHash for one that takes part. A nil Hashes gives what NewHash gives.
func (h *Hashes) New(d digest.Digest) (hash.Hash, error) {
	sum, err := NewHash(d)
	if err == nil && h != nil && d.Algorithm() == digest.SHA256 {
		sum = h.pairs.New()
	}
	return sum, err
}

// VerifyBytes proves that raw is the content that d names: its size first, then its digest.
func VerifyBytes(raw []byte, d digest.Digest, size int64) error {
	h, err := NewHash(d)
	if err != nil {
		return err
	}
	if int64(len(raw)) != size {
		return errSize(d, int64(len(raw)), size)
	}
	h.Write(raw)
	return checkSum(h, d)
}

// checkSum compares the state of h with d.
func checkSum(h hash.Hash, d digest.Digest) error {
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		return &Error{
			Op: "verify", Subject: d.String(), Clause: spec.DescriptorVerify,
			Err: fmt.Errorf("%w: content is %s", ErrDigestMismatch, got),
		}
	}
	return nil
}

func errSize(d digest.Digest, got, want int64) error {
	why := fmt.Errorf("%w: got %d bytes of %d", ErrSizeMismatch, got, want)
	if got > want {
		why = fmt.Errorf("%w: more than the %d bytes announced", ErrSizeMismatch, want)
	}
	return &Error{Op: "verify", Subject: d.String(), Clause: spec.DescriptorSize, Err: why}
}

// clip bounds what of a hostile string gets into an error text.
func clip(s string) string {
	const limit = 160 // a sha512 digest fits
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
