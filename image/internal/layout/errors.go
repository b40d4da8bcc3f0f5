package layout

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
)

var (
	// ErrNotLayout: the directory or archive is no OCI image layout of a known version.
	ErrNotLayout = errors.New("not an OCI image layout")
	// ErrNotFound: there is no such name or blob.
	ErrNotFound = errors.New("not found")
	// ErrNotRegular: where a file should be is a symbolic link, a directory, a FIFO or a device.
	ErrNotRegular = errors.New("not a regular file")
	// ErrAmbiguous: several entries of index.json have the name, with different digests.
	ErrAmbiguous = errors.New("the name has several meanings")
)

// Error is how every failure of this package is reported.
type Error struct {
	Op      string
	Subject string
	Clause  spec.Clause
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
