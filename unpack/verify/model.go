package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// layerModel is a layer and what is needed to prove its content.
type layerModel struct {
	layer   image.Layer
	index   int
	log     func() (io.ReadCloser, error) // nil: there is none
	spool   *os.File                      // the log, where it had to be made
	entries map[int]int                   // numbers of the entries with content, by their positions in the log
	paths   map[int]string                // where the content at a position is on disk; hidden if nowhere
}

// readLayers makes the tree that the image says, from logs if every layer has one, else from blobs.
func (v *verifier) readLayers(ctx context.Context) error {
	layers := v.img.Layers()
	logged := v.o.Logs != nil
	for i, layer := range layers {
		m := layerModel{layer: layer, index: i + 1, entries: map[int]int{}, paths: map[int]string{}}
		if logged {
			m.log = func() (io.ReadCloser, error) { return v.o.Logs(layer) }
			f, err := m.log()
			if err == nil {
				f.Close()
			}
			logged = err == nil
		}
		v.layers = append(v.layers, m)
	}
	v.want = tree.New()
	budget := unpack.NewBudget(v.o.Limits)
	for i := range v.layers {
		m := &v.layers[i]
		l := v.want.Layer(m.index, tree.Options{Limits: v.o.Limits, Devices: unpack.DeviceSkip, Logger: v.o.Logger})
		o := unpack.Options{Limits: v.o.Limits, Budget: budget, Index: m.index, Logger: v.o.Logger}
		r := entryReader{v: v, m: m, layer: l}
		var err error
		if logged {
			err = r.fromLog(ctx, o)
		} else {
			err = r.fromBlob(ctx, o)
		}
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return fmt.Errorf("layer %d %s: %w", m.index, m.layer.DiffID, err)
		}
	}
	return nil
}

// entryReader reads the entries of a layer into the tree.
type entryReader struct {
	v     *verifier
	m     *layerModel
	layer *tree.Layer
	count int // of the entries so far
	buf   []byte
}

func (r *entryReader) fromLog(ctx context.Context, o unpack.Options) error {
	log, err := r.m.log()
	if err != nil {
		return err
	}
	defer log.Close()
	return unpack.ReadLogContent(ctx, log, o, r.add)
}

// fromBlob reads the blob, and makes the log if the tar is to be put together again.
func (r *entryReader) fromBlob(ctx context.Context, o unpack.Options) (err error) {
	if r.v.o.Blobs == nil {
		return ErrNoSource
	}
	r.m.log = nil
	if r.v.o.Level >= Exact {
		if err := r.m.makeSpool(); err != nil {
			return err
		}
		w, err := unpack.NewLogWriter(r.m.spool)
		if err != nil {
			return err
		}
		defer w.Close() // a second Close does nothing
		o.Log = w
		r.m.log = r.m.reread
		if err := r.read(ctx, o); err != nil {
			return err
		}
		return w.Close()
	}
	return r.read(ctx, o)
}

func (r *entryReader) read(ctx context.Context, o unpack.Options) error {
	_, err := unpack.ReadLayer(ctx, r.m.layer, r.v.o.Blobs, o, r.add)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	return err
}

// makeSpool makes a file without a name for the log.
func (m *layerModel) makeSpool() (err error) {
	if m.spool, err = os.CreateTemp("", "oci-verify-"); err != nil {
		return err
	}
	return os.Remove(m.spool.Name())
}

func (m *layerModel) reread() (io.ReadCloser, error) {
	info, err := m.spool.Stat()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(m.spool, 0, info.Size())), nil
}

// add takes an entry; what content it has is hashed, unless it is to be compared without.
func (r *entryReader) add(e *unpack.Entry, content io.Reader) error {
	number := r.count
	r.count++
	if e.Kind != unpack.Regular || e.Size == 0 || r.v.o.Level < Content {
		return r.layer.Add(e)
	}
	if e.Position >= 0 {
		r.m.entries[e.Position] = number
		if r.m.spool == nil {
			return r.layer.Add(e) // from a log: rebuilding the tar proves it
		}
	}
	if r.buf == nil {
		r.buf = make([]byte, bufferBytes)
	}
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{content}, r.buf)
	if err == nil && n != e.Size {
		err = fmt.Errorf("%w: %q has %d bytes of %d", unpack.ErrTar, e.Path, n, e.Size)
	}
	if err != nil {
		return err
	}
	return r.layer.AddContent(e, digest.NewDigest(digest.SHA256, h))
}

// bufferBytes is read at once.
const bufferBytes = 128 << 10

// close ends what readLayers began.
func (v *verifier) close() {
	for _, m := range v.layers {
		if m.spool != nil {
			m.spool.Close()
		}
	}
}
