package verify

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure; errors.Is finds them in an *[Error].
var (
	// ErrNoRecord: nothing is known about the directory.
	ErrNoRecord = errors.New("no record of an unpacking")
	// ErrRecord: a record is not what this package wrote.
	ErrRecord = errors.New("unusable record")
	// ErrNoSource: neither the log nor the blob of a layer is at hand.
	ErrNoSource = errors.New("neither its log nor its blob is there")
	// ErrLevel: a name of no level.
	ErrLevel = errors.New("no such level")
)

// Error is a failure of this package: "op subject: why [clause]". That a root file system is not the image is
// no error but a [Report].
type Error struct {
	Op      string // "verify", "read record", "write record", ...
	Subject string // directory, record or layer
	Clause  spec.Clause
	Err     error // never nil
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Op
	if e.Subject != "" {
		s += " " + e.Subject
	}
	s = fmt.Sprintf("%s: %v", s, e.Err)
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
