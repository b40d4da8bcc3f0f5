package reference

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// ErrSyntax: the text is not a reference.
var ErrSyntax = errors.New("invalid reference")

// ErrTransport: the text names a place that is not supported, such as docker-daemon.
var ErrTransport = errors.New("unsupported kind of reference")

// Error is how Parse reports every failure.
type Error struct {
	Op      string      // "parse reference"
	Subject string      // the text, quoted and bounded
	Clause  spec.Clause // the grammar that was broken; zero if it is this project's own
	Err     error       // matches ErrSyntax or ErrTransport
}

// Error gives "op subject: why [clause]".
func (e *Error) Error() string {
	s := e.Op + " " + e.Subject + ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func failure(text string, c spec.Clause, kind error, format string, a ...any) error {
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	err := fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, a...))
	return &Error{Op: "parse reference", Subject: fmt.Sprintf("%q", text), Clause: c, Err: err}
}
