package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Options direct OfLayers. The zero value is for a tree without content, read from blobs.
type Options struct {
	Content bool // hash the content of files: Node.Digest
	// Limits bound what a layer may make this package hold: Entries also bounds the paths of the
	// whole tree together with those of a layer, LogBytes the names and attributes of a layer.
	Limits  unpack.Limits
	Devices unpack.DevicePolicy // of a device 0/0: an error, or left out
	Logger  *slog.Logger        // receives warnings; nil discards them
	// Logs gives the tar-split log of a layer that was unpacked before, or an error that is
	// fs.ErrNotExist: then, and with Content, the blob is read. Nil: blobs are read.
	Logs func(image.Layer) (io.ReadCloser, error)
}

// OfLayers gives the tree that layers make, base first. A layer that is read from its blob is proved; errors
// are those of unpack.ApplyLayer, so far as they do not come from a file system.
func OfLayers(ctx context.Context, layers []image.Layer, blobs unpack.Blobs, o Options) (*Tree, error) {
	t := New()
	b := reader{blobs: blobs, o: o, budget: unpack.NewBudget(o.Limits)}
	for i, layer := range layers {
		l := t.Layer(i+1, o)
		if err := b.read(ctx, layer, l); err != nil {
			return nil, unpack.Locate(err, layer.Descriptor.Digest, i+1)
		}
		if err := l.Close(); err != nil {
			return nil, unpack.Locate(err, layer.Descriptor.Digest, i+1)
		}
	}
	return t, nil
}

// reader reads layers into trees.
type reader struct {
	blobs  unpack.Blobs
	o      Options
	budget *unpack.Budget
	buf    []byte
}

func (r *reader) read(ctx context.Context, layer image.Layer, l *Layer) error {
	o := unpack.Options{Limits: r.o.Limits, Budget: r.budget, Logger: r.o.Logger, Index: l.index}
	if r.o.Logs != nil && !r.o.Content {
		log, err := r.o.Logs(layer)
		if err == nil {
			defer log.Close()
			return unpack.ReadLog(ctx, log, o, l.Add)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_, err := unpack.ReadLayer(ctx, layer, r.blobs, o, func(e *unpack.Entry, content io.Reader) error {
		if e.Kind != unpack.Regular || !r.o.Content {
			return l.Add(e)
		}
		d, err := r.hash(content, e.Size)
		if err != nil {
			return err
		}
		return l.AddContent(e, d)
	})
	return err
}

// hash gives the digest of a file's content, which must have as many bytes as its entry says.
func (r *reader) hash(content io.Reader, size int64) (digest.Digest, error) {
	if r.buf == nil {
		r.buf = make([]byte, 128<<10)
	}
	h := sha256.New()
	n, err := io.CopyBuffer(h, content, r.buf)
	if err == nil && n != size {
		err = fmt.Errorf("%w: %d bytes of %d", unpack.ErrTar, n, size)
	}
	return digest.NewDigest(digest.SHA256, h), err
}
