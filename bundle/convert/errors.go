package convert

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure; every error of this package wraps one of them.
var (
	// ErrUsage: a flag of the user is at fault; the error is a *UsageError.
	ErrUsage = errors.New("bad value")
	// ErrNoCommand: neither the image nor the user says what to run.
	ErrNoCommand = errors.New("no command: the image has neither Entrypoint nor Cmd")
	// ErrUnknownUser and ErrUnknownGroup: not in the image's /etc/passwd, /etc/group.
	ErrUnknownUser  = errors.New("unknown user")
	ErrUnknownGroup = errors.New("unknown group")
	// ErrIDRange: a user or group id outside 0..4294967294.
	ErrIDRange = errors.New("id out of range")
	// ErrUnmapped: an id that the user namespace has no mapping for.
	ErrUnmapped = errors.New("id not mapped in the user namespace")
	// ErrUserFile: /etc/passwd or /etc/group is no regular file, or too large.
	ErrUserFile = errors.New("unusable user database")
	// ErrUnsafeLabel: a label of the image that a runtime would act on.
	ErrUnsafeLabel = errors.New("label that a runtime acts on")
	// ErrPlatform: an image for another operating system.
	ErrPlatform = errors.New("not a linux image")
	// ErrInvalid: a value of the image config that no process can be given.
	ErrInvalid = errors.New("invalid value")
)

// Error says what of the image could not be converted, and why.
type Error struct {
	Op      string      // "convert"
	Subject string      // the field of the image config: "config.User"
	Clause  spec.Clause // what conversion.md asks
	Err     error
}

// Error gives "convert subject: why [clause]".
func (e *Error) Error() string {
	s := e.Op + " " + e.Subject + ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func imageError(subject string, clause spec.Clause, err error) error {
	return &Error{Op: "convert", Subject: subject, Clause: clause, Err: err}
}

// UsageError says which flag has a value that cannot be used. It is ErrUsage for errors.Is.
type UsageError struct {
	Flag  string // "--memory"
	Value string
	Err   error
}

// Error gives `--memory "12q": why`.
func (e *UsageError) Error() string {
	return e.Flag + " " + strconv.Quote(e.Value) + ": " + e.Err.Error()
}

// Unwrap gives ErrUsage and the cause.
func (e *UsageError) Unwrap() []error { return []error{ErrUsage, e.Err} }

func usage(flag, value, format string, args ...any) error {
	return &UsageError{Flag: flag, Value: value, Err: fmt.Errorf(format, args...)}
}
