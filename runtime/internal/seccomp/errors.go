package seccomp

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure, for errors.Is.
var (
	ErrNoProfile    = errors.New("no profile")
	ErrArchitecture = errors.New("unknown architecture")
	ErrAction       = errors.New("unknown action")
	ErrOperator     = errors.New("unknown operator")
	ErrFlag         = errors.New("unknown flag")
	ErrName         = errors.New("no system call is named")
	ErrArgument     = errors.New("argument index is above 5")
	ErrErrno        = errors.New("action takes no errno")
	ErrErrnoRange   = errors.New("errno is out of range")
	ErrNotify       = errors.New("action would stop the container itself")
	ErrTooLarge     = errors.New("filter has more instructions than the kernel takes")
)

// Error is the error of every function of this package.
type Error struct {
	Op      string      // "compile seccomp"
	Subject string      // what is wrong, as a path inside the seccomp object: "/syscalls/3/args/0"
	Clause  spec.Clause // the requirement that is not met; may be zero
	Err     error       // one of the kinds above, or wraps one
}

// Error gives "compile seccomp /syscalls/3/action: unknown action [clause]".
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

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }
