package transport

import (
	"bytes"
	"context"
	"errors"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// Remote is an OCI image layout that lies elsewhere, on a file server for example. Nothing that it
// gives is trusted. What is absent gives an error that matches ErrNotFound.
type Remote interface {
	// File gives a document by its path in the layout, at most limit bytes of it.
	File(ctx context.Context, name string, limit int64) ([]byte, error)
	// Blob opens the content of d at a byte of it.
	Blob(ctx context.Context, d ispec.Descriptor, offset int64) (io.ReadCloser, error)
	// Close ends the connection to it.
	Close() error
}

// OpenRemote opens the layout that remote gives and ref names. It closes remote if it fails; after
// that Close does.
func OpenRemote(ctx context.Context, ref reference.Ref, remote Remote) (*Layout, error) {
	l, err := newLayout(ctx, remoteLayout{remote}, ref)
	return l, failed("open", ref.String(), err)
}

// layoutFiles is what a Layout is read by.
type layoutFiles interface {
	document(ctx context.Context, name string, limit int64) ([]byte, error)
	blob(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
	close() error
}

// localLayout is a layout in a directory or in a tar.
type localLayout struct{ files }

func (l localLayout) document(ctx context.Context, name string, limit int64) ([]byte, error) {
	read := func() ([]byte, error) { return readFile(l.files, name, limit) }
	if _, ok := l.files.(dirFiles); ok { // another tool may be writing it
		return layout.Settled(ctx, read)
	}
	return read()
}

func (l localLayout) blob(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	return openSized(l.files, layout.BlobPath(d.Digest), d)
}

// remoteLayout is a layout elsewhere.
type remoteLayout struct{ Remote }

func (r remoteLayout) document(ctx context.Context, name string, limit int64) ([]byte, error) {
	return r.File(ctx, name, limit)
}

func (r remoteLayout) blob(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if int64(len(d.Data)) == d.Size && d.Size > 0 {
		return io.NopCloser(bytes.NewReader(d.Data)), nil
	}
	open := func(at int64) (io.ReadCloser, error) { return r.Blob(ctx, d, at) }
	if image.IsManifest(d.MediaType) || image.IsIndex(d.MediaType) {
		return open(0) // whether it is there decides what is done next
	}
	return Lazy(open), nil
}

func (r remoteLayout) close() error { return r.Close() }

// Lazy gives a reader that opens content at the first Read, from the byte that Seek has chosen: an
// ingest that goes on fetches no more than it lacks.
func Lazy(open func(offset int64) (io.ReadCloser, error)) io.ReadSeekCloser {
	return &lazy{open: open}
}

type lazy struct {
	open func(offset int64) (io.ReadCloser, error)
	at   int64
	r    io.ReadCloser
}

// Read implements io.Reader.
func (l *lazy) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open(l.at)
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

// Seek implements io.Seeker for a place from the start, before the first Read.
func (l *lazy) Seek(offset int64, whence int) (int64, error) {
	if l.r != nil || whence != io.SeekStart || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	l.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (l *lazy) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
