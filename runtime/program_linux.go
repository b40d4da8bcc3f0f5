package runtime

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/launch"
)

// programError marks a failure to find or to execute the container's program with ErrNoProgram or ErrProgram.
type programError struct {
	kind error
	err  error
}

func (e *programError) Error() string { return e.err.Error() }

// Unwrap returns the failure and its kind.
func (e *programError) Unwrap() []error { return []error{e.err, e.kind} }

// programPointer is where a configuration names its program.
const programPointer = "/process/args/0"

// markProgram sorts failures as execve(2) and Docker do.
func markProgram(err error) error {
	var f *launch.Failure
	if !errors.As(err, &f) || f.Pointer != programPointer {
		return err
	}
	switch f.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		return &programError{ErrNoProgram, err}
	case unix.EACCES, unix.EPERM, unix.EISDIR, unix.ENOEXEC:
		return &programError{ErrProgram, err}
	}
	return err
}
