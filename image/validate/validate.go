package validate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/unpack"
)

// Blobs is where the content of an image comes from. It need not be proved: that is done here. What is not there matches fs.ErrNotExist or
// transport.ErrNotFound.
type Blobs interface {
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
}

// Options say how much is looked at. The zero value is everything.
type Options struct {
	NoLayers  bool          // layers are proved by their digests, and not looked into
	NoContent bool          // documents alone are read; of all other content only that it is there
	Limits    unpack.Limits // of a layer
}

// Image judges images, or all that indexes name, and everything below: documents, content, layers, each once. The error is for what
// could not be judged; what is wrong is in the Report.
func Image(ctx context.Context, blobs Blobs, o Options, roots ...ispec.Descriptor) (Report, error) {
	w := newWalker(newReporter(), blobs, o)
	for _, d := range roots {
		if err := image.ValidateDescriptor(d); err != nil {
			return Report{}, &Error{Op: "validate image", Subject: string(d.Digest), Err: err}
		}
		w.queue = append(w.queue, visit{target: described{Descriptor: d, sized: true, usable: true}})
	}
	if err := w.run(ctx); err != nil {
		return Report{}, &Error{Op: "validate image", Err: err}
	}
	return w.r.done(), nil
}

// walker goes from descriptor to descriptor.
type walker struct {
	r     *reporter
	blobs Blobs
	o     Options

	queue  []visit
	seen   map[seenKey]bool
	stacks []stack              // the images whose layers are to be looked into
	layers map[layerKey]*inside // what was found in them

	mu    sync.Mutex
	known map[digest.Digest]content // what was read or looked for

	listed bool                         // what is no file was told already
	clause spec.Clause                  // for content that is not what its digest says
	place  func(d digest.Digest) string // where it is
	sizeOf func(d digest.Digest) int64  // of content that is not read; -1 if that cannot be told
}

// visit is a descriptor to follow, and where it stands.
type visit struct {
	target   described
	where    string          // the document that has it; "" of the root
	platform *ispec.Platform // what that document says it is for
	subject  bool            // it may be absent
	entry    bool            // it is an element of an index, whose images need not all be there
}

type seenKey struct {
	digest    digest.Digest
	mediaType string
}

// content is what is known about a blob.
type content struct {
	size   int64
	proved bool
	absent bool
}

func newWalker(r *reporter, blobs Blobs, o Options) *walker {
	return &walker{
		r: r, blobs: blobs, o: o,
		seen: map[seenKey]bool{}, layers: map[layerKey]*inside{}, known: map[digest.Digest]content{},
		clause: spec.DescriptorDigest,
		place:  func(d digest.Digest) string { return string(d) },
		sizeOf: func(digest.Digest) int64 { return -1 },
	}
}

// run follows all descriptors, and then looks into the layers.
func (w *walker) run(ctx context.Context) error {
	for len(w.queue) > 0 {
		v := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.follow(ctx, v); err != nil {
			return err
		}
	}
	return w.lookInside(ctx)
}

// follow judges what a descriptor names.
func (w *walker) follow(ctx context.Context, v visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := v.target
	if !t.usable || w.seen[seenKey{t.Digest, t.MediaType}] {
		return nil
	}
	w.seen[seenKey{t.Digest, t.MediaType}] = true
	if !image.IsManifest(t.MediaType) && !image.IsIndex(t.MediaType) {
		return w.opaque(ctx, v)
	}
	d, n, err := w.document(ctx, v)
	if err != nil || n == nil {
		return err
	}
	if image.IsIndex(t.MediaType) {
		w.below(d.indexDocument(n, t.MediaType), d.where)
		return nil
	}
	return w.image(ctx, d, d.manifest(n, t.MediaType), v)
}

// below queues what an index names.
func (w *walker) below(x index, where string) {
	for i, e := range x.entries {
		w.queue = append(w.queue, visit{target: e, where: where, platform: x.platforms[i], entry: true})
	}
	w.about(x.subject, where)
}

func (w *walker) about(subject *described, where string) {
	if subject != nil {
		w.queue = append(w.queue, visit{target: *subject, where: where, subject: true})
	}
}

// image judges the config of a manifest, and how it fits to the layers.
func (w *walker) image(ctx context.Context, d *doc, m manifest, v visit) error {
	w.about(m.subject, d.where)
	if a := v.target.ArtifactType; a != "" && a != m.artifact && a != m.config.MediaType {
		w.r.add(&Problem{
			Where: w.at(v), Pointer: under(v.target.pointer, "artifactType"), Clause: spec.DescriptorArtifactOf,
			Err: fmt.Errorf("%w: %q, and the manifest says %q", ErrMismatch, clip(a), clip(m.artifact)), Hint: clip(cmp.Or(m.artifact, m.config.MediaType)),
		})
	}
	if !m.isImage() {
		for _, t := range append([]described{m.config}, m.layers...) {
			if err := w.opaque(ctx, visit{target: t, where: d.where}); err != nil {
				return err
			}
		}
		return nil
	}
	s := stack{where: d.where, layers: m.layers}
	if m.config.usable {
		cd, n, err := w.document(ctx, visit{target: m.config, where: d.where})
		if err != nil {
			return err
		}
		if n != nil {
			cd.docker(m.config.MediaType)
			c := cd.config(n)
			s.config, s.diffIDs = cd.where, c.diffIDs
			if c.diffIDs != nil && len(c.diffIDs) != len(m.layers) {
				d.add("/layers", spec.ConfigDiffID, "a DiffID for each layer", ErrMismatch, "%d layers, and rootfs.diff_ids of the config has %d", len(m.layers), len(c.diffIDs))
			}
			w.samePlatform(c, v)
		}
	}
	w.stacks = append(w.stacks, s)
	return nil
}

// samePlatform compares what an index says of an image with what the image says of itself.
func (w *walker) samePlatform(c config, v visit) {
	if v.platform == nil || c.platform == nil {
		return
	}
	a, b := *v.platform, *c.platform
	if a.OS == b.OS && a.Architecture == b.Architecture && (a.Variant == b.Variant || a.Variant == "" || b.Variant == "") {
		return
	}
	w.r.add(&Problem{
		Where: v.where, Pointer: under(v.target.pointer, "platform"), Clause: spec.PlatformConfig,
		Err:  fmt.Errorf("%w: %s, and the config of the image says %s", ErrMismatch, clip(image.FormatPlatform(a)), clip(image.FormatPlatform(b))),
		Hint: "the platform of the image",
	})
}

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

// size is what content was found to have; -1 if that is not known.
func (w *walker) size(d digest.Digest) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.known[d]; ok && !c.absent {
		return c.size
	}
	return -1
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
	if size := w.size(v.target.Digest); size >= 0 {
		w.sized(v, size)
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
