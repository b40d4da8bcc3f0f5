package hooks

import (
	"errors"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure, beside those of package bundle (ErrType, ErrMissing, ErrDuplicateKey, ErrTooLarge, ...).
var (
	ErrVersion   = errors.New("unknown version of the hook format")
	ErrStage     = errors.New("unknown stage")
	ErrPrecreate = errors.New("precreate is a stage of podman's own, which changes config.json before the runtime sees it: not supported")
	ErrPattern   = errors.New("no regular expression")
)

// Error says which file or directory of hooks cannot be used, and why. What a file says is a *bundle.Problem with its pointer.
type Error struct {
	Op      string      // "read hook", "read hooks" (of a directory)
	Subject string      // the path
	Clause  spec.Clause // what runtime-spec asks; zero where the rule is that of oci-hooks(5)
	Err     error
}

// Error gives "read hook /dir/file.json: /stages/0: why".
func (e *Error) Error() string { return e.Op + " " + e.Subject + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func problem(pointer string, err error, hint string) error {
	return &bundle.Problem{Pointer: pointer, Err: err, Hint: hint}
}
