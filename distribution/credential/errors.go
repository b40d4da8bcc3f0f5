package credential

import "errors"

// The kinds of failure, for errors.Is.
var (
	// ErrFile: a credential file is unreadable, too large or not what it should be.
	ErrFile = errors.New("unusable credential file")
	// ErrHelper: a credential helper is missing or failed.
	ErrHelper = errors.New("credential helper")
	// ErrAbsent: there is no credential to erase.
	ErrAbsent = errors.New("not logged in")
	// ErrName: credentials cannot be kept under this name.
	ErrName = errors.New("not a registry or a path in one")
)

// Error says which file or helper could not be used.
type Error struct {
	Op      string // "read", "ask", "store", ...
	Subject string // the file, or the helper and the host
	Err     error
}

// Error gives "op subject: why".
func (e *Error) Error() string { return e.Op + " " + e.Subject + ": " + e.Err.Error() }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
