package validate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// document reads and parses what a descriptor names; the node is nil if nothing is to be judged.
func (w *walker) document(ctx context.Context, v visit) (*doc, *node, error) {
	raw, ok, err := w.read(ctx, v, image.MaxManifestSize)
	if err != nil || !ok {
		return nil, nil, err
	}
	d := &doc{r: w.r, where: w.place(v.target.Digest)}
	return d, d.parse(raw, v.target.MediaType), nil
}

// read gives the content of a document, at most limit bytes and one. ok is false if there is none, which is told.
func (w *walker) read(ctx context.Context, v visit, limit int64) (raw []byte, ok bool, err error) {
	rc, err := w.open(ctx, v)
	if rc == nil || err != nil {
		return v.target.Data, err == nil && v.target.Data != nil, err
	}
	defer rc.Close()
	if raw, err = io.ReadAll(io.LimitReader(rc, limit+1)); err != nil {
		return nil, false, fmt.Errorf("read %s: %w", w.place(v.target.Digest), err)
	}
	if int64(len(raw)) > limit {
		return raw, true, nil // the parser says that it is too large
	}
	first := !w.isKnown(v.target.Digest)
	w.sized(v, int64(len(raw)))
	got := v.target.Digest.Algorithm().FromBytes(raw)
	w.note(v.target.Digest, content{size: int64(len(raw)), proved: true})
	if first {
		w.r.count(func(r *Report) { r.Blobs++; r.Bytes += int64(len(raw)) })
	}
	if got != v.target.Digest && first {
		w.mismatch(v.target.Digest, got)
	}
	return raw, true, nil
}

// open opens what a descriptor names; nil if it is not there, or no file, which is told.
func (w *walker) open(ctx context.Context, v visit) (io.ReadCloser, error) {
	rc, err := w.blobs.Open(ctx, v.target.Descriptor)
	switch {
	case err == nil:
		return rc, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, layout.ErrNotFound):
		w.note(v.target.Digest, content{absent: true})
		if v.target.Data == nil {
			w.absent(v)
		}
		return nil, nil
	case errors.Is(err, layout.ErrNotRegular):
		w.note(v.target.Digest, content{absent: true})
		if !w.listed {
			w.r.add(&Problem{Where: w.place(v.target.Digest), Clause: spec.LayoutRegular, Err: fmt.Errorf("%w: %w", ErrInvalid, layout.ErrNotRegular), Hint: "the content itself, as a regular file"})
		}
		return nil, nil
	case errors.Is(err, image.ErrSizeMismatch):
		w.note(v.target.Digest, content{absent: true})
		w.r.add(&Problem{Where: w.at(v), Pointer: under(v.target.pointer, "size"), Clause: spec.DescriptorSize, Err: fmt.Errorf("%w: %w", ErrMismatch, err), Hint: "the number of bytes of the content"})
		return nil, nil
	}
	return nil, err
}

// at is where a descriptor stands: a root is in no document.
func (w *walker) at(v visit) string {
	if v.where == "" {
		return w.place(v.target.Digest)
	}
	return v.where
}

// absent tells of content that is not there.
func (w *walker) absent(v visit) {
	c, why, hint := spec.LayoutMissing, "its content is not here", "the content beside, or urls from where it can be had"
	switch {
	case v.subject:
		c, why, hint = spec.ManifestNoSubject, "the manifest that this is about is not here", "nothing: that is allowed"
	case v.entry || image.IsForeign(v.target.MediaType) || len(v.target.URLs) > 0:
		c, hint = spec.LayoutExtra, "nothing, if it can be had elsewhere"
	}
	w.r.add(&Problem{Where: w.at(v), Pointer: v.target.pointer, Clause: c, Err: fmt.Errorf("%w: %s: %s", ErrAbsent, v.target.Digest, why), Hint: hint})
}

// sized compares the size of content with what a descriptor says.
func (w *walker) sized(v visit, got int64) {
	if got < 0 || got == v.target.Size {
		return
	}
	w.r.add(&Problem{
		Where: w.at(v), Pointer: under(v.target.pointer, "size"), Clause: spec.DescriptorSize,
		Err: fmt.Errorf("%w: %d, and the content has %d bytes", ErrMismatch, v.target.Size, got), Hint: fmt.Sprint(got),
	})
}

// mismatch tells of content that its digest does not name.
func (w *walker) mismatch(want, got digest.Digest) {
	w.r.add(&Problem{
		Where: w.place(want), Clause: w.clause,
		Err: fmt.Errorf("%w: its digest is %s", ErrMismatch, got), Hint: "the content that the digest names",
	})
}

func (w *walker) note(d digest.Digest, c content) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.known[d]; ok && old.proved {
		return
	}
	w.known[d] = c
}

func (w *walker) isKnown(d digest.Digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.known[d]
	return ok
}

// opaque proves content that is not looked into.
func (w *walker) opaque(ctx context.Context, v visit) error {
	if !v.target.usable {
		return nil
	}
	if w.isKnown(v.target.Digest) {
		w.met(v)
		return nil
	}
	rc, err := w.open(ctx, v)
	if rc == nil || err != nil {
		return err
	}
	defer rc.Close()
	if w.o.NoContent {
		size := w.sizeOf(v.target.Digest)
		w.note(v.target.Digest, content{size: size})
		w.sized(v, size)
		return nil
	}
	return w.prove(ctx, v, rc)
}

// prove hashes content. What is longer than its descriptor says is read on: both may be told.
func (w *walker) prove(ctx context.Context, v visit, r io.Reader) error {
	h, err := image.NewHash(v.target.Digest)
	if err != nil {
		return err
	}
	size, err := io.Copy(h, readerOf(ctx, r))
	if err != nil {
		return fmt.Errorf("read %s: %w", w.place(v.target.Digest), err)
	}
	w.note(v.target.Digest, content{size: size, proved: true})
	w.r.count(func(r *Report) { r.Blobs++; r.Bytes += size })
	w.sized(v, size)
	if got := digest.NewDigest(v.target.Digest.Algorithm(), h); got != v.target.Digest {
		w.mismatch(v.target.Digest, got)
	}
	return nil
}

// contextReader stops at the end of its context.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
