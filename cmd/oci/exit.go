package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit statuses. `oci run` and `oci exec` give the program's own status instead, 128+n when
// signal n ended it, and the three that shells and other engines use when it never ran.
const (
	statusOK         = 0
	statusGeneral    = 1
	statusUsage      = 2
	statusNotFound   = 3  // no such image, tag, container, file
	statusDenied     = 4  // authentication or authorisation
	statusLimited    = 5  // the registry limits the rate
	statusUnverified = 6  // a size, digest or DiffID does not match
	statusPlatform   = 7  // the image has no such platform
	statusNetwork    = 8  // network, timeout, a registry's own failure
	statusStorage    = 9  // the store or the file system under it
	statusMalformed  = 10 // content that a specification forbids, or too large to be meant

	statusRunFailed     = 125 // run: the container was not made
	statusNotExecutable = 126 // run: the program is there and cannot be executed
	statusNoProgram     = 127 // run: there is no such program
	statusSignal        = 128 // run: plus the number of the signal
)

// exitError is an error with its own exit status; without err, a status alone and nothing to say.
type exitError struct {
	status int
	err    error
}

// Error is the error's text, "" for a status alone.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap gives the error under the status.
func (e *exitError) Unwrap() error { return e.err }

// usageErrorf is a mistake on the command line; cmd, when known, is where help for it is.
func usageErrorf(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if cmd != nil {
		err = fmt.Errorf("%w (%s --help says more)", err, cmd.CommandPath())
	}
	return &exitError{status: statusUsage, err: err}
}

// exitStatus is the one table from errors to exit statuses.
func exitStatus(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &exit):
		return exit.status
	}
	return statusGeneral
}

// hintFor says what to try after err; "" when nothing general helps.
func hintFor(error) string { return "" }
