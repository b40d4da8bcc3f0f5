package image

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure. Every error of this package matches exactly one of them with errors.Is,
// save ErrDuplicateKey and ErrAmbiguous, which match ErrMalformed too.
var (
	// ErrMalformed: the document is not what its specification says (also: deeper or with more
	// entries than is accepted).
	ErrMalformed = errors.New("malformed document")
	// ErrTooLarge: content or a claimed size is over the limit.
	ErrTooLarge = errors.New("too large")
	// ErrMediaType: the media type is not the expected one, or not one that can be handled.
	ErrMediaType = errors.New("unexpected media type")
	// ErrNoDigest: a descriptor without a digest.
	ErrNoDigest = errors.New("no digest")
	// ErrDigestInvalid: a digest that is not of the grammar of its algorithm.
	ErrDigestInvalid = errors.New("invalid digest")
	// ErrAlgorithm: a well-formed digest whose algorithm is not known here.
	ErrAlgorithm = errors.New("unknown digest algorithm")
	// ErrDigestMismatch: the content is not what the digest names.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrSizeMismatch: the content is shorter or longer than its descriptor says.
	ErrSizeMismatch = errors.New("size mismatch")
	// ErrNoPlatform: nothing in the index, or not this image, is for the platform wanted.
	ErrNoPlatform = errors.New("no image for the platform")
	// ErrPlatformSyntax: a platform string that is not os/arch[/variant].
	ErrPlatformSyntax = errors.New("invalid platform")
)

// ErrDuplicateKey: a JSON object names a member twice. It matches ErrMalformed.
var ErrDuplicateKey error = &kind{"duplicate name in a JSON object", ErrMalformed}

// ErrAmbiguous: a document that could be an index and a manifest at once (CVE-2021-41190). It
// matches ErrMalformed.
var ErrAmbiguous error = &kind{"both an index and a manifest", ErrMalformed}

// kind is a sentinel that belongs to a wider one.
type kind struct {
	text  string
	wider error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.wider }

// Error is how every failure of this package is reported.
type Error struct {
	Op      string      // "decode manifest", "verify", "select"
	Subject string      // digest, media type or name; may be empty
	Clause  spec.Clause // the rule that was broken; zero if it is this project's own
	Err     error       // never nil; matches one of the kinds above
}

// Error gives "op subject: why [clause]".
func (e *Error) Error() string {
	s := e.Op
	if e.Subject != "" {
		s += " " + e.Subject
	}
	s += ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
