package transport

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// The kinds of failure. What fails to be proved matches the kinds of package image, what the disk
// refuses those of package os.
var (
	// ErrNotFound: the place does not have the image or the blob.
	ErrNotFound = layout.ErrNotFound
	// ErrAmbiguous: the place has several images and the reference does not say which.
	ErrAmbiguous = layout.ErrAmbiguous
	// ErrNotLayout: the place is not what the reference says it is.
	ErrNotLayout = layout.ErrNotLayout
	// ErrNotRegular: where a file should be is a link, a directory, a FIFO or a device.
	ErrNotRegular = layout.ErrNotRegular
	// ErrCompressed: the archive as a whole is compressed in a way that is not understood here.
	ErrCompressed = errors.New("compressed archive")
	// ErrUnsupported: images cannot be read from, or written to, this kind of place.
	ErrUnsupported = errors.New("unsupported place")
)

// Error is how every failure of this package is reported.
type Error struct {
	Op      string      // "open", "resolve", "copy", "export", ...
	Subject string      // a reference or a digest
	Clause  spec.Clause // zero if no specification asks for it
	Err     error
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

// failed wraps err; nil stays nil.
func failed(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Subject: subject, Err: err}
}
