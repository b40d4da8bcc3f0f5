package unpack

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// stream is the uncompressed tar of a layer while the blob, and the tar, are being proved. Read it
// to its end, then ask prove; Close it in any case.
type stream struct {
	layer  image.Layer
	blob   *pump // the compressed bytes, behind the verifier if they are not proved yet
	dec    io.ReadCloser
	tar    *pump
	diff   hash.Hash // nil if the tar is the blob: proving one proves the other
	close  func()
	result Compressed
}

// Compressed is what was found out about a layer's blob.
type Compressed struct {
	Compression image.Compression // as sniffed
	Mislabelled bool              // the media type says something else
	Bytes       int64             // uncompressed
}

// openStream starts the pipeline of a layer. Its goroutines end at the end of the blob, at an
// error, when ctx ends, or at Close, whichever is first.
func openStream(ctx context.Context, layer image.Layer, blobs Blobs, o *Options) (_ *stream, err error) {
	want, err := image.LayerCompression(layer.Descriptor.MediaType)
	if err != nil {
		return nil, err
	}
	hashes := o.Hashes
	if hashes == nil {
		hashes = new(image.Hashes) // blob and tar are hashed at the same time
	}
	diff, err := hashes.New(layer.DiffID)
	if err != nil {
		return nil, &Error{Op: "check", Subject: string(layer.DiffID), Clause: spec.LayerDiffID, Err: fmt.Errorf("%w: DiffID: %w", ErrDescriptor, err)}
	}
	rc, err := blobs.Open(ctx, layer.Descriptor)
	if err != nil {
		return nil, notEOF(err)
	}
	closeBlob := sync.OnceFunc(func() { rc.Close() })
	stop := context.AfterFunc(ctx, closeBlob) // makes a blocked Read return
	s := &stream{layer: layer, close: func() { stop(); closeBlob() }}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	var content io.Reader = &ctxReader{ctx, rc}
	if p, ok := blobs.(ProvedBlobs); ok && layer.DiffID != layer.Descriptor.Digest && p.Proved(layer.Descriptor) {
		content = io.LimitReader(content, layer.Descriptor.Size)
	} else if content, err = hashes.NewVerifier(content, layer.Descriptor); err != nil {
		return nil, err
	}
	s.blob = newPump(content, nil, blobChunks, blobChunk)
	in := &meter{r: s.blob}
	s.dec, s.result.Compression, err = decompress(sourceReader{in}, o.Limits)
	if err != nil {
		return nil, s.explain(err)
	}
	s.result.Mislabelled = s.result.Compression != want
	if s.result.Compression != image.Uncompressed || layer.DiffID != layer.Descriptor.Digest {
		s.diff = diff
	}
	s.tar = newPump(&growth{r: s.dec, in: in, limits: &o.Limits, budget: o.Budget, total: &s.result.Bytes}, s.diff, plainChunks, plainChunk)
	return s, nil
}

// Read gives the bytes of the tar. Its io.EOF means that the decompressor is content, not yet that
// the digests are right.
func (s *stream) Read(p []byte) (int, error) { return s.tar.Read(p) }

// prove is asked after Read gave io.EOF: it proves digest and size of the blob, if that was not done
// when the blob came, and the DiffID.
func (s *stream) prove() error {
	if err := s.proveBlob(); err != nil || s.diff == nil {
		return err
	}
	if got := digest.NewDigest(s.layer.DiffID.Algorithm(), s.diff); got != s.layer.DiffID {
		return &Error{Op: "verify", Clause: spec.LayerDiffID, Err: fmt.Errorf("%w: got %s, want %s", ErrDiffID, got, s.layer.DiffID)}
	}
	return nil
}

// proveBlob is prove without the DiffID.
func (s *stream) proveBlob() error {
	_, err := io.Copy(io.Discard, struct{ io.Reader }{s.blob})
	return err
}

// explain gives the deeper cause of err, if there is one: a blob that is not the one asked for
// breaks its compression or its tar first, and is reported as what it is. For that the rest of the
// blob is read, which its size bounds.
func (s *stream) explain(err error) error {
	var src sourceError
	if errors.As(err, &src) {
		return notEOF(src.error)
	}
	if s.tar != nil {
		s.tar.Close() // its goroutine reads the blob
	}
	_, rest := io.Copy(io.Discard, struct{ io.Reader }{s.blob})
	if errors.Is(rest, image.ErrDigestMismatch) || errors.Is(rest, image.ErrSizeMismatch) {
		return rest
	}
	return notEOF(err)
}

// Close ends the goroutines and closes the blob.
func (s *stream) Close() {
	s.close()
	if s.tar != nil {
		s.tar.Close()
	}
	if s.blob != nil {
		s.blob.Close()
	}
	if s.dec != nil {
		s.dec.Close()
	}
}

// ctxReader stops reading when its context ends, and then says so instead of what the closed blob says.
type ctxReader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		if cause := context.Cause(c.ctx); cause != nil {
			return n, cause
		}
	}
	return n, err
}

// meter counts the bytes read.
type meter struct {
	r io.Reader
	n int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

// growth bounds what comes out of a decompressor, by itself and against what went in. It is read
// by the same goroutine that drives in.
type growth struct {
	r      io.Reader
	in     *meter
	limits *Limits
	budget *Budget
	total  *int64
}

func (g *growth) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	*g.total += int64(n)
	switch out := *g.total; {
	case out > g.limits.LayerBytes:
		return 0, Exceeded("layer", g.limits.LayerBytes, out, "the layer has more bytes uncompressed")
	case out > g.limits.RatioFrom && factor(out, g.in.n) > g.limits.Ratio:
		return 0, Exceeded("ratio", g.limits.Ratio, factor(out, g.in.n), fmt.Sprintf("decompression bomb (%d bytes became %d), factor", g.in.n, out))
	}
	if lerr := g.budget.take(int64(n)); lerr != nil {
		return 0, lerr
	}
	return n, err
}

// factor is by how much in became out, rounded up.
func factor(out, in int64) int64 { return (out-1)/max(in, 1) + 1 }

// warnings logs what is odd about a layer, each kind of thing a bounded number of times: names
// come from the image, and a hostile one has millions.
type warnings struct {
	log   *slog.Logger
	layer int
	left  int
	seen  map[string]bool
}

func newWarnings(o *Options, layer int) *warnings {
	return &warnings{log: o.Logger, layer: layer, left: 50}
}

// entry warns about an entry.
func (w *warnings) entry(name, text string, args ...any) {
	if w.log == nil || w.left < 0 {
		return
	}
	if w.left--; w.left < 0 {
		w.log.Warn("more warnings about this layer are left out", "layer", w.layer)
		return
	}
	w.log.Warn(text, append([]any{"layer", w.layer, "entry", fmt.Sprintf("%q", name)}, args...)...)
}

// once warns about an entry unless key was warned about already.
func (w *warnings) once(key, name, text string, args ...any) {
	if w.seen[key] {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[key] = true
	w.entry(name, text, args...)
}
