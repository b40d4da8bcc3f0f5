package validate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
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
	images map[seenKey]*imageFacts
	stacks []stack              // the images whose layers are to be looked into
	layers map[layerKey]*inside // what was found in them

	configs map[seenKey]config

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
		seen: map[seenKey]bool{}, images: map[seenKey]*imageFacts{}, configs: map[seenKey]config{}, layers: map[layerKey]*inside{}, known: map[digest.Digest]content{},
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

// follow judges what a descriptor names, once, and each descriptor that names it.
func (w *walker) follow(ctx context.Context, v visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := v.target
	if !t.usable {
		return nil
	}
	if !image.IsManifest(t.MediaType) && !image.IsIndex(t.MediaType) {
		return w.opaque(ctx, v)
	}
	key := seenKey{t.Digest, t.MediaType}
	if w.seen[key] {
		w.met(v)
		w.claims(v, w.images[key])
		return nil
	}
	w.seen[key] = true
	d, n, err := w.document(ctx, v)
	if err != nil || n == nil {
		return err
	}
	if image.IsIndex(t.MediaType) {
		w.below(d.indexDocument(n, t.MediaType), d.where)
		return nil
	}
	found := &imageFacts{manifest: d.manifest(n, t.MediaType)}
	w.images[key] = found
	if err := w.image(ctx, d, found); err != nil {
		return err
	}
	w.claims(v, found)
	return nil
}

// met judges a descriptor of what was read, or looked for, by another.
func (w *walker) met(v visit) {
	w.mu.Lock()
	c, known := w.known[v.target.Digest]
	w.mu.Unlock()
	switch {
	case known && c.absent && v.target.Data == nil:
		w.absent(v)
	case known && !c.absent:
		w.sized(v, c.size)
	}
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

// imageFacts are what a manifest and its config say.
type imageFacts struct {
	manifest
	config config
}

// image judges the config of a manifest, and how it fits to the layers.
func (w *walker) image(ctx context.Context, d *doc, found *imageFacts) error {
	m := found.manifest
	w.about(m.subject, d.where)
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
		c, err := w.imageConfig(ctx, visit{target: m.config, where: d.where})
		if err != nil {
			return err
		}
		found.config, s.config, s.diffIDs = c, w.place(m.config.Digest), c.diffIDs
		if c.diffIDs != nil && len(c.diffIDs) != len(m.layers) {
			d.add("/layers", spec.ConfigDiffID, "a DiffID for each layer", ErrMismatch, "%d layers, and rootfs.diff_ids of the config has %d", len(m.layers), len(c.diffIDs))
		}
	}
	w.stacks = append(w.stacks, s)
	return nil
}

// imageConfig judges a config, once.
func (w *walker) imageConfig(ctx context.Context, v visit) (config, error) {
	key := seenKey{v.target.Digest, v.target.MediaType}
	if w.seen[key] {
		w.met(v)
		return w.configs[key], nil
	}
	w.seen[key] = true
	d, n, err := w.document(ctx, v)
	if err != nil || n == nil {
		return config{}, err
	}
	d.docker(v.target.MediaType)
	w.configs[key] = d.config(n)
	return w.configs[key], nil
}

// claims compares what a descriptor says of an image with what the image says of itself.
func (w *walker) claims(v visit, found *imageFacts) {
	if found == nil {
		return
	}
	tell := func(key string, c spec.Clause, hint, says, is string) {
		w.r.add(&Problem{
			Where: w.at(v), Pointer: under(v.target.pointer, key), Clause: c, Hint: clip(hint),
			Err: fmt.Errorf("%w: %s, and the image says %s", ErrMismatch, clip(says), clip(is)),
		})
	}
	if a := v.target.ArtifactType; a != "" && a != found.artifact && a != found.manifest.config.MediaType {
		own := cmp.Or(found.artifact, found.manifest.config.MediaType)
		tell("artifactType", spec.DescriptorArtifactOf, own, a, own)
	}
	if v.platform == nil || found.config.platform == nil {
		return
	}
	a, b := *v.platform, *found.config.platform
	if a.OS != b.OS || a.Architecture != b.Architecture || a.Variant != b.Variant && a.Variant != "" && b.Variant != "" {
		tell("platform", spec.PlatformConfig, "the platform of the image", image.FormatPlatform(a), image.FormatPlatform(b))
	}
}
