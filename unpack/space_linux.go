package unpack

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
)

// CheckSpace compares what is known of the sizes of layers, before they are unpacked, with what the file
// system of the root has free: a *SpaceError, in an *Error, if they do not fit. Known are the sizes of
// plain layers, and of compressed ones whose blob is an io.ReaderAt, as a local file is. Nothing is asked
// if l.FreeBytes is negative.
//
// It is asked once. Nothing is kept free while layers are unpacked: on a small file system that would
// refuse what fits, and a full one is met by removing what was written.
func (r *Root) CheckSpace(ctx context.Context, layers []image.Layer, blobs Blobs, l Limits) error {
	if l.FreeBytes < 0 || l.FreeBytes == unlimited || len(layers) == 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.top.fd, &st); err != nil || st.Blocks == 0 {
		return nil //nolint:nilerr // a file system that does not tell
	}
	fail := func(err error) error {
		return &Error{Op: "check", Err: err}
	}
	if st.Files > 0 && st.Ffree == 0 {
		return fail(&SpaceError{Dir: r.name})
	}
	need, err := knownSizes(ctx, layers, blobs)
	if err != nil || need == 0 {
		return err
	}
	block := uint64(st.Bsize)
	if st.Frsize > 0 { // Linux 2.6 and later
		block = uint64(st.Frsize)
	}
	have := &SpaceError{Dir: r.name, Need: need, Keep: uint64(l.FreeBytes), Have: st.Bavail * block}
	if err := have.compare(); err != nil {
		return fail(err)
	}
	return nil
}
