package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
	"github.com/oci-pipeline/oci/runtime"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/verify"
	"github.com/oci-pipeline/oci/unpack/volume"
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

	statusInterrupted = 130 // a signal broke the command off, as shells say it

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

// exitRow is a row of the table: the errors that have the status, and what to try.
type exitRow struct {
	status int
	kinds  []error
	hint   string
}

// exitTable is the one table from errors to exit statuses. The first row that holds wins: what a
// registry did stands above what the network or the file system did in its course.
func exitTable() []exitRow {
	return []exitRow{
		{statusPlatform, []error{image.ErrNoPlatform}, "--platform chooses another one; `oci manifest get REF` shows which there are"},
		{statusDenied, []error{distribution.ErrUnauthorized}, "--creds or --authfile, or a login of docker or podman, gives credentials"},
		{statusUsage, []error{mirrorconfig.ErrAmbiguous}, "`oci mirrors explain` shows what the name may mean"},
		{statusDenied, []error{mirrorconfig.ErrBlocked}, "`oci mirrors explain` shows what was decided"},
		{statusLimited, []error{distribution.ErrRateLimited}, "the registry says when to come back; with credentials the limit is often higher"},
		{statusGeneral, []error{distribution.ErrNoDelete}, "`oci delete REPOSITORY@DIGEST` deletes a manifest with all its tags, where the registry allows deletes at all"},
		{statusGeneral, []error{convert.ErrUnmapped}, "give yourself more ids: a range in /etc/subuid and /etc/subgid, and newuidmap (package uidmap); or run as --user 0"},
		{statusUnverified, []error{image.ErrDigestMismatch, image.ErrSizeMismatch, unpack.ErrDiffID}, "the content is not what its descriptor says; nothing was made of it"},
		{statusMalformed, []error{store.ErrIncomplete}, "`oci check --repair`, or a pull, writes the file again"},
		{statusMalformed, []error{
			errSyncList, errFileName,
			image.ErrMalformed, image.ErrTooLarge, image.ErrMediaType, image.ErrNoDigest, image.ErrDigestInvalid, image.ErrAlgorithm,
			bundle.ErrSyntax, bundle.ErrTooLarge, bundle.ErrDuplicateKey, bundle.ErrTooDeep, bundle.ErrType, bundle.ErrVersion,
			bundle.ErrMissing, bundle.ErrInvalid, bundle.ErrDuplicate, bundle.ErrNotRegular,
			repack.ErrName, repack.ErrEntry, repack.ErrConfig,
			unpack.ErrUnsafePath, unpack.ErrTar, unpack.ErrLimit, unpack.ErrCompression, unpack.ErrWhiteout, unpack.ErrLink, unpack.ErrDescriptor,
			convert.ErrNoCommand, convert.ErrUnknownUser, convert.ErrUnknownGroup, convert.ErrIDRange, convert.ErrUserFile,
			convert.ErrUnsafeLabel, convert.ErrPlatform, convert.ErrInvalid,
			store.ErrNotStore, store.ErrNotRegular, store.ErrAmbiguous, transport.ErrCompressed,
		}, ""},
		{statusUsage, []error{unpack.ErrIDMap, repack.ErrChange, convert.ErrUsage, runtime.ErrInvalidID, volume.ErrName, reference.ErrSyntax, reference.ErrTransport, image.ErrPlatformSyntax, store.ErrName, transport.ErrUnsupported}, ""},
		{statusNotFound, []error{distribution.ErrNotFound}, "`oci tags REPOSITORY` lists the tags that there are; some registries say so of what they do not show you"},
		{statusNotFound, []error{verify.ErrNoSource}, "--pull missing fetches the layers; without them only what has a record can be proved"},
		{statusNotFound, []error{verify.ErrNoRecord}, ""},
		{statusNotFound, []error{transport.ErrNotFound, store.ErrNotFound, runtime.ErrNotExist, volume.ErrNotFound, bundle.ErrNoConfig, bundle.ErrRootfs}, ""},
		{statusNetwork, []error{distribution.ErrInsecure}, "--insecure allows plain http and unproved certificates"},
		{statusNetwork, []error{
			distribution.ErrServer, distribution.ErrTimeout, distribution.ErrNetwork, distribution.ErrProtocol,
			context.DeadlineExceeded, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		}, ""},
		{statusStorage, []error{unpack.ErrDevice}, "--devices skip leaves devices out, --devices bind shows those of the host"},
		{statusStorage, []error{unpack.ErrNames}, "use a file system that tells upper case from lower"},
		{statusStorage, []error{unpack.ErrSpace}, "make room, or try all the same by --limit free=none"},
		{statusStorage, []error{unpack.ErrNotEmpty, unpack.ErrOwner, store.ErrBusy, store.ErrReadOnly, store.ErrInUse, volume.ErrInUse, volume.ErrExist, volume.ErrDamaged, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO}, ""},
		{statusDenied, []error{fs.ErrPermission}, ""},
		{statusNotFound, []error{fs.ErrNotExist}, ""},
		{statusInterrupted, []error{context.Canceled}, ""},
	}
}

// exitStatus gives the status of err.
func exitStatus(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.status
	}
	if err == nil {
		return statusOK
	}
	if row, ok := lookUp(err); ok {
		return row.status
	}
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &op) || errors.As(err, &dns) {
		return statusNetwork
	}
	return statusGeneral
}

// hintFor says what to try after err; "" when nothing general helps.
func hintFor(err error) string {
	if hint := ownerHint(err); hint != "" {
		return hint
	}
	if damaged(err) {
		return "the store holds damaged content: `oci check --repair` takes it away, then pull again"
	}
	if missing := (*missingError)(nil); errors.As(err, &missing) {
		if near := nearName(missing.arg, missing.names); near != "" {
			return fmt.Sprintf("did you mean %s? `oci images` lists what the store has", near)
		}
		return "`oci pull` fetches an image into the store, `oci images` lists what it has"
	}
	if over := (*unpack.LimitError)(nil); errors.As(err, &over) {
		return limitHint(over)
	}
	row, _ := lookUp(err)
	return row.hint
}

// damaged tells whether content that was proved when it came is not what it was: reading it from
// the store, or unpacking it, found another digest. (Another DiffID is the image's own mistake.)
func damaged(err error) bool {
	if !errors.Is(err, image.ErrDigestMismatch) && !errors.Is(err, image.ErrSizeMismatch) || errors.Is(err, unpack.ErrDiffID) {
		return false
	}
	var stored *store.Error
	for e := err; errors.As(e, &stored); e = stored.Err {
		if stored.Op == "read blob" || stored.Op == "open blob" {
			return true
		}
	}
	var unpacked *unpack.Error
	return errors.As(err, &unpacked)
}

func lookUp(err error) (exitRow, bool) {
	for _, row := range exitTable() {
		for _, kind := range row.kinds {
			if errors.Is(err, kind) {
				return row, true
			}
		}
	}
	return exitRow{}, false
}
