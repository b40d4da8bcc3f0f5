package bundle

import (
	"errors"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure. Every error of this package is an *Error that wraps one of them, alone or
// inside Problems.
var (
	ErrNoConfig     = errors.New("no config.json")
	ErrNotRegular   = errors.New("not a regular file")
	ErrTooLarge     = errors.New("too large")
	ErrSyntax       = errors.New("malformed JSON")
	ErrDuplicateKey = errors.New("key occurs twice")
	ErrTooDeep      = errors.New("nested too deeply")
	ErrType         = errors.New("wrong type")
	ErrVersion      = errors.New("unsupported ociVersion")
	ErrRootfs       = errors.New("no root directory")
	ErrMissing      = errors.New("required property is missing")
	ErrInvalid      = errors.New("invalid value")
	ErrDuplicate    = errors.New("duplicate entry")
)

// Error says which operation failed on which bundle, and why.
type Error struct {
	Op      string      // "load bundle", "write bundle"
	Subject string      // the path of the bundle or file
	Clause  spec.Clause // what the specification asks; zero if the rule is our own or the system failed
	Err     error
}

// Error gives "op subject: why [clause]".
func (e *Error) Error() string {
	return e.Op + " " + e.Subject + ": " + e.Err.Error() + e.Clause.Citation()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Problem is one violation in a config.
type Problem struct {
	Pointer string      // JSON pointer (RFC 6901) into config.json; "" is the whole document
	Clause  spec.Clause // the requirement broken; the zero Clause is a rule of this package, taken as a MUST
	Err     error       // wraps one of the kinds above
	Hint    string      // what to write instead; may be empty
}

// Error gives "pointer: why [clause]".
func (p *Problem) Error() string {
	at := p.Pointer
	if at == "" {
		at = "config.json"
	}
	return strings.ToValidUTF8(at, "?") + ": " + p.Err.Error() + p.Clause.Citation()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Must reports whether the problem makes the config unusable: its clause is no mere SHOULD or MAY.
func (p *Problem) Must() bool {
	return p.Clause.Level != spec.Should && p.Clause.Level != spec.May
}

// Problems are all the violations found in one config, in the order of the document's structure.
type Problems []*Problem

// Error lists the problems, separated by "; ".
func (ps Problems) Error() string {
	s := make([]string, len(ps))
	for i, p := range ps {
		s[i] = p.Error()
	}
	return strings.Join(s, "; ")
}

// Unwrap gives every problem, for errors.Is and errors.As.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// Must gives the problems that make the config unusable.
func (ps Problems) Must() Problems {
	var out Problems
	for _, p := range ps {
		if p.Must() {
			out = append(out, p)
		}
	}
	return out
}

func at(base string, index int, rest string) string {
	return base + "/" + strconv.Itoa(index) + rest
}
