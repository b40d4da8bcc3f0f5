package store

import (
	"errors"
	"fmt"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// The kinds of failure of a store. Failed proofs match the kinds of package image
// (image.ErrDigestMismatch, image.ErrSizeMismatch), those of the disk the errors of package os and
// syscall (ENOSPC, EDQUOT, fs.ErrPermission).
var (
	// ErrNotFound: the store does not have the blob or the name.
	ErrNotFound = layout.ErrNotFound
	// ErrReadOnly: the store was opened for reading.
	ErrReadOnly = errors.New("store is open for reading only")
	// ErrBusy: another process holds what is needed, and the context ended first.
	ErrBusy = errors.New("in use by another process")
	// ErrInUse: a name leads to the blob.
	ErrInUse = errors.New("in use by an image")
	// ErrClosed: the ingest was committed, closed or aborted before.
	ErrClosed = errors.New("already closed")
	// ErrName: the name cannot be one of an image.
	ErrName = errors.New("invalid name")
)

// The kinds of failure of a directory that is not what a layout should be.
var (
	// ErrNotStore: the directory is no OCI image layout.
	ErrNotStore = layout.ErrNotLayout
	// ErrIncomplete: the directory has names or blobs, and no file oci-layout.
	ErrIncomplete = errors.New("the file oci-layout is absent")
	// ErrNotRegular: a blob is a symbolic link, a directory, a FIFO or a device.
	ErrNotRegular = layout.ErrNotRegular
	// ErrAmbiguous: several entries of index.json have the name, with different digests.
	ErrAmbiguous = layout.ErrAmbiguous
)

// Error is how every failure of this package is reported.
type Error struct {
	Op      string      // "open store", "ingest", "commit", "tag", ...
	Subject string      // a digest, a quoted name or a path
	Clause  spec.Clause // zero if no specification asks for it
	Err     error
}

// Error gives "op subject: why [clause]".
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed wraps err; nil stays nil.
func failed(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Subject: subject, Err: err}
}

// quoted gives a name for an error text, bounded and without control characters.
func quoted(name string) string {
	if len(name) > 200 {
		name = name[:200] + "..."
	}
	return fmt.Sprintf("%q", name)
}
