package distribution

import (
	"context"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Sink is where Pull puts content: a content store. Its methods may be called at the same time.
type Sink interface {
	// Has tells whether the content of d is there, proved.
	Has(ctx context.Context, d ispec.Descriptor) (bool, error)
	// Ingest starts or goes on with the content of d.
	Ingest(ctx context.Context, d ispec.Descriptor) (Ingest, error)
	// ReadBlob gives the content of d, proved, of at most limit bytes.
	ReadBlob(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error)
}

// Ingest takes the bytes of one blob, in order.
type Ingest interface {
	io.Writer
	// Offset is how many bytes are there already, from earlier writes or an earlier process.
	Offset() int64
	// Commit proves size and digest and makes the content visible; it is the only way in.
	// It fails with image.ErrSizeMismatch or image.ErrDigestMismatch.
	Commit(ctx context.Context) error
	// Close ends the work and keeps what is there, for a later Ingest to go on. After Commit or
	// Abort it does nothing.
	Close() error
	// Abort ends the work and forgets what is there. It may follow a Commit that failed.
	Abort() error
}

// Noted is an Ingest that keeps a short line of text, at most 2 KiB, beside the bytes that are there,
// for a later Ingest. It is lost where the bytes are, and nothing depends on it.
type Noted interface {
	// Note gives the line; "" if there is none.
	Note() string
	SetNote(line string)
}

// Source is where Push takes content from. Open may be called at the same time. Push proves the
// manifests that it gives; the registry proves the blobs. A reader that is also an io.Seeker is not
// read through to go on with an upload.
type Source interface {
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
}
