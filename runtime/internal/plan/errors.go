//go:build linux

package plan

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// ErrInvalid means that the configuration asks for something that the specification forbids.
var ErrInvalid = errors.New("invalid configuration")

// ErrUnsupported means that the configuration asks for something that this runtime cannot do.
var ErrUnsupported = errors.New("not supported")

// Error is a failure to compile.
type Error struct {
	Pointer string // JSON pointer into config.json
	Clause  spec.Clause
	Err     error
}

func (e *Error) Error() string {
	s := "compile " + e.Pointer + ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func invalid(pointer, format string, args ...any) error {
	return &Error{Pointer: pointer, Err: fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)}
}

func unsupported(pointer, format string, args ...any) error {
	return &Error{Pointer: pointer, Err: fmt.Errorf("%w: "+format, append([]any{ErrUnsupported}, args...)...)}
}
