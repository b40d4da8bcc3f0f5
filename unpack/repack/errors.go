package repack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure; errors.Is finds them in an *[Error].
var (
	// ErrName: a layer cannot hold a file of this name.
	ErrName = errors.New("a name that begins with .wh. means a deletion in a layer")
	// ErrChanged: a file is not what it was when the tree was read.
	ErrChanged = errors.New("the file was changed while it was read")
	// ErrEntry: tar cannot hold what the file has.
	ErrEntry = errors.New("no tar entry can hold it")
	// ErrChange: an instruction that is to change the config is not understood.
	ErrChange = errors.New("not understood")
	// ErrConfig: the config of the base image cannot be edited.
	ErrConfig = errors.New("unusable config")
)

// Error is a failure of this package: what was done, to which path (quoted: names come from strangers), why.
type Error struct {
	Op      string // "plan", "read", "write", "change", ...
	Subject string // path in the root filesystem, or an instruction
	Clause  spec.Clause
	Err     error // why; never nil, never io.EOF
}

// Error gives "op "subject": why [clause]".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		fmt.Fprintf(&b, " %q", e.Subject)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if c := e.Clause.String(); c != "" {
		fmt.Fprintf(&b, " [%s]", c)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
