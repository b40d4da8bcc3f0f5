package mirrorconfig

import (
	"errors"
	"strconv"
)

// The kinds of failure, for errors.Is.
var (
	// ErrConfig: a configuration file is unreadable, or says something that has no meaning.
	ErrConfig = errors.New("invalid configuration")
	// ErrUnknownKey: a configuration file has a key that nothing understands. It is an ErrConfig.
	ErrUnknownKey error = unknownKey{}
	// ErrAmbiguous: a name without a registry could mean several images, and the configuration does not
	// say to try them.
	ErrAmbiguous = errors.New("ambiguous name")
	// ErrNoPush: hosts.toml has no host that content may be pushed to.
	ErrNoPush = errors.New("no host has the capability push")
	// ErrBlocked: registries.conf forbids the registry.
	ErrBlocked = errors.New("blocked by configuration")
)

type unknownKey struct{}

func (unknownKey) Error() string        { return "unknown key" }
func (unknownKey) Is(target error) bool { return target == ErrConfig }

// Error says which file could not be used, and where in it.
type Error struct {
	Op   string // "read" or "decide"
	File string // "" if no file is at fault
	Line int    // from 1; 0 if unknown
	Err  error
}

// Error gives "op file:line: why".
func (e *Error) Error() string {
	s := e.Op
	if e.File != "" {
		s += " " + e.File
	}
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
