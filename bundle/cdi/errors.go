package cdi

import (
	"errors"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure, beside those of package bundle (ErrType, ErrMissing, ErrInvalid, ErrDuplicate, ErrTooLarge, ...).
var (
	ErrName     = errors.New("not a CDI name")
	ErrVersion  = errors.New("unsupported cdiVersion")
	ErrUnknown  = errors.New("unknown property")
	ErrNoDevice = errors.New("no CDI file describes it")
	ErrConflict = errors.New("described more than once in one directory")
	ErrYAML     = errors.New("malformed YAML")
)

// Error says what could not be done with which file or device. What a file says is a *bundle.Problem with its pointer.
type Error struct {
	Op      string      // "read CDI file", "read CDI directory", "find CDI device", "add CDI device node"
	Subject string      // the path, or the name of the device
	Clause  spec.Clause // zero: the Container Device Interface is none of the specifications of the ledger
	Err     error
}

// Error gives "op subject: why".
func (e *Error) Error() string { return e.Op + " " + e.Subject + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func problem(pointer string, err error, hint string) error {
	return &bundle.Problem{Pointer: pointer, Err: err, Hint: hint}
}
