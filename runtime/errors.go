package runtime

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure, for errors.Is. The texts of the first ones are matched by container engines.
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrInvalidID  = errors.New("invalid container ID format")
	ErrNotRunning = errors.New("container not running")
	ErrNotCreated = errors.New("cannot start a container that is not created")
	ErrRunning    = errors.New("cannot delete a container that is not stopped")
	ErrConfig     = errors.New("invalid configuration")
	// ErrNotChild means that the exit status belongs to another process.
	ErrNotChild = errors.New("not a child of this process")
)

// ErrNoProgram means that the container's program is not there, ErrProgram that it cannot be executed.
var (
	ErrNoProgram = errors.New("there is no such program")
	ErrProgram   = errors.New("the program cannot be executed")
)

// Error is a failure of an operation on a container.
type Error struct {
	Op      string // "create", "start", ...
	Subject string // the container's id
	Clause  spec.Clause
	Err     error
}

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

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
