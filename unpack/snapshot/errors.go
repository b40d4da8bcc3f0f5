package snapshot

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure; errors.Is finds them in an *[Error]. Unpacking a layer gives the errors of package unpack.
var (
	// ErrForm: the layer directory was made for another kind of mount or other owners.
	ErrForm = errors.New("the layer directory has another form")
	// ErrNotFound: the store has no such layer.
	ErrNotFound = errors.New("no such layer")
	// ErrChanged: the directory of a layer is not what was unpacked.
	ErrChanged = errors.New("the unpacked layer was changed")
	// ErrOverlay: this kernel, file system or user namespace cannot mount an overlay.
	ErrOverlay = errors.New("no overlay mount possible")
)

// Error is a failure of this package: "op subject: why [clause]".
type Error struct {
	Op      string // "ensure", "mount", "prune", ...
	Subject string // digest or path
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
