package volume

import "errors"

// Kinds of failure; errors.Is finds them in an *[Error].
var (
	// ErrName: no name for a volume.
	ErrName = errors.New("no name of a volume: want letters, digits and _.-, the first no sign, at most 255")
	// ErrExist: there is such a volume already.
	ErrExist = errors.New("it exists already")
	// ErrNotFound: there is no such volume.
	ErrNotFound = errors.New("no such volume")
	// ErrInUse: a container has the volume.
	ErrInUse = errors.New("it is in use")
	// ErrDamaged: what is there is not what this package made.
	ErrDamaged = errors.New("the volume is damaged")
	// ErrDestination: the root file system has something at the destination of the volume that is no directory.
	ErrDestination = errors.New("the destination is no directory")
)

// Error is a failure of this package: "op volume name: why".
type Error struct {
	Op      string // "use", "create", "inspect", "remove", "prune"
	Subject string // the volume
	Err     error  // never nil
}

// Error implements error.
func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Op + " volume: " + e.Err.Error()
	}
	return e.Op + " volume " + e.Subject + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ValidName tells whether a volume may have this name: it becomes the name of a directory.
func ValidName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '_' && r != '.' && r != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
