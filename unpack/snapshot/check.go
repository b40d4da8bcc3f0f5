package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Check proves an unpacked layer; it tells whether it was rebuilt for that.
//
// The record and the log must be there. With all, or if an inode of the directory was changed (its
// ctime) after the record was written, the layer's tar is rebuilt and must have the DiffID, and is unpacked
// once more beside it: both trees must be the same in names, types, owners, modes, times, links,
// xattrs and content. Otherwise nothing has touched the files, as far as the file system's
// clock can be believed.
//
// A layer that is not what it was gives ErrChanged, one that was unpacked for other owners or
// another kind of mount ErrForm: it cannot be compared here.
func (s *Store) Check(ctx context.Context, diffID digest.Digest, all bool) (rebuilt bool, err error) {
	if err := image.ValidateDigest(diffID); err != nil {
		return false, &Error{Op: "check", Subject: diffID.String(), Err: err}
	}
	dir := s.layerDir(diffID)
	fail := func(err error) (bool, error) {
		return rebuilt, &Error{Op: "check", Subject: diffID.String(), Clause: spec.LayerReproducible, Err: fmt.Errorf("%w: %w", ErrChanged, err)}
	}
	m, err := readMarker(dir)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", markerFile, err))
	}
	if info, err := os.Lstat(filepath.Join(dir, logFile)); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return fail(fmt.Errorf("%s is absent or empty", logFile))
	}
	if !all {
		touched, err := changedSince(ctx, dir)
		if err != nil && ctx.Err() == nil {
			return fail(err)
		}
		if err != nil || touched == "" {
			return false, err
		}
	}
	if want := s.form(); m.Form != want {
		return false, &Error{Op: "check", Subject: diffID.String(), Err: fmt.Errorf("%w: it was unpacked for %s, not for %s", ErrForm, m.Form, want)}
	}
	rebuilt = true
	if err := s.compare(ctx, m, dir); err != nil {
		local := (*localError)(nil)
		if ctx.Err() != nil || errors.As(err, &local) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return rebuilt, &Error{Op: "check", Subject: diffID.String(), Err: err}
		}
		return fail(err)
	}
	return rebuilt, nil
}

// localError is a failure of the check, not of the layer.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// compare rebuilds a layer, unpacks it once more and compares the two directories.
func (s *Store) compare(ctx context.Context, m *marker, dir string) error {
	stage, done, err := s.checkDir(m.DiffID)
	if err != nil {
		return &localError{err}
	}
	defer done()
	files, err := makeRoot(filepath.Join(stage, filesDir))
	if err != nil {
		return &localError{err}
	}
	defer files.Close()
	o := s.o.Unpack
	o.Devices = unpack.DeviceAny
	o.Log, o.Replaced, o.Events, o.Logger, o.Index = nil, nil, nil, nil, 1
	layer := image.Layer{
		Descriptor: ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: m.DiffID, Size: m.Bytes},
		DiffID:     m.DiffID,
	}
	r := &rebuilder{s: s, id: m.DiffID, failed: make(chan error, 1)}
	_, err = unpack.ApplyLayer(ctx, layer, r, files, unpack.Overlay, o)
	if r.r != nil {
		r.r.Close()
		if bad := <-r.failed; bad != nil && !errors.Is(bad, io.ErrClosedPipe) {
			err = bad // what ApplyLayer says follows from it
		}
	}
	if err != nil {
		return err
	}
	return sameTree(ctx, filepath.Join(dir, filesDir), filepath.Join(stage, filesDir))
}

// rebuilder gives unpack the tar of a layer, once.
type rebuilder struct {
	s      *Store
	id     digest.Digest
	r      *io.PipeReader
	failed chan error
}

// Open implements unpack.Blobs.
func (b *rebuilder) Open(ctx context.Context, _ ispec.Descriptor) (io.ReadCloser, error) {
	r, w := io.Pipe()
	b.r = r
	go func() {
		err := b.s.WriteTar(ctx, b.id, w)
		w.CloseWithError(err)
		b.failed <- err
	}()
	return r, nil
}

// checkDir makes a directory for the second copy: in the store or, if that cannot be written,
// where temporary files go. done removes it.
func (s *Store) checkDir(d digest.Digest) (dir string, done func(), err error) {
	dir = filepath.Join(s.dir, stagingDir, name(d)+".check")
	unlock, err := s.tryLock(name(d))
	if err == nil {
		if err = errors.Join(removeAll(dir), os.Mkdir(dir, 0o700)); err == nil {
			return dir, func() { _ = removeAll(dir); unlock() }, nil
		}
		unlock()
	}
	if dir, err = os.MkdirTemp("", "oci-check-"); err != nil {
		return "", nil, err
	}
	return dir, func() { _ = removeAll(dir) }, nil
}
