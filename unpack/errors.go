package unpack

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure; errors.Is finds them in an *[Error]. A blob whose digest or size differs gives
// the errors of package image instead.
var (
	ErrDiffID      = errors.New("the uncompressed layer has another digest than the config says")
	ErrUnsafePath  = errors.New("unsafe path")
	ErrTar         = errors.New("malformed tar")
	ErrLimit       = errors.New("limit exceeded") // a *LimitError says which
	ErrCompression = errors.New("bad compression")
	ErrWhiteout    = errors.New("invalid whiteout")
	ErrLink        = errors.New("invalid hardlink")
	ErrOwner       = errors.New("owner cannot be represented")
	ErrIDMap       = errors.New("invalid id map")
	ErrDevice      = errors.New("device cannot be made")
	ErrNames       = errors.New("two names that are one on this file system, which does not tell their letters apart")
	ErrNotEmpty    = errors.New("target exists and is not an empty directory")
	ErrDescriptor  = errors.New("unusable layer description")
)

// Error is a failure of this stage. Its text starts with the operation and the subject, then names
// the layer and the entry (quoted: names come from the image), and ends in the clause.
type Error struct {
	Op      string        // "unpack", "apply", "decompress", "open", ...
	Subject string        // what it was done to: the directory or the entry; printed quoted
	Layer   int           // 1 for the base layer; 0 if no layer is concerned
	Digest  digest.Digest // digest of the layer's blob; "" if no layer is concerned
	Clause  spec.Clause   // zero if the rule is this project's own
	Err     error         // why; never nil, never io.EOF
}

// Error gives "op "subject" (layer 2 sha256:...): why [clause]".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		fmt.Fprintf(&b, " %q", e.Subject)
	}
	switch {
	case e.Layer > 0:
		fmt.Fprintf(&b, " (layer %d %s)", e.Layer, e.Digest)
	case e.Digest != "":
		fmt.Fprintf(&b, " (layer %s)", e.Digest)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if c := e.Clause.String(); c != "" {
		fmt.Fprintf(&b, " [%s]", c)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail makes an *Error of kind, with a formatted detail.
func fail(op, subject string, clause spec.Clause, kind error, format string, args ...any) *Error {
	return &Error{Op: op, Subject: subject, Clause: clause, Err: fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)}
}

// notEOF keeps io.EOF out of error chains, where errors.Is would read it as success.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
