package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// Sink is where Copy puts content: a store. Its Ingest proves what it takes.
type Sink interface {
	Has(ctx context.Context, d ispec.Descriptor) (bool, error)
	Ingest(ctx context.Context, d ispec.Descriptor) (Ingest, error)
	ReadBlob(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error)
}

// Ingest is content on its way into a Sink; see store.Ingest for what each method promises.
type Ingest interface {
	io.Writer
	Offset() int64
	Commit(ctx context.Context) error
	Close() error
	Abort() error
}

// DefaultJobs is how many blobs are copied at once. The work is hashing, so more than the cores of a
// small machine do not help.
const DefaultJobs = 2

// CopyOptions of Copy.
type CopyOptions struct {
	Ref      reference.Ref                  // put into the result and the events
	Platform ispec.Platform                 // what to choose from an index; zero means this machine's, and all of an index without images
	All      bool                           // copy all platforms
	Jobs     int                            // blobs at once; 0 means DefaultJobs
	Events   image.EventFunc                // may be nil
	OnLayer  func(index int, l image.Layer) // called once for each layer, 1 is the base, that the sink has now, from several goroutines; may be nil
}

// Copied is what Copy did.
type Copied struct {
	Resolved image.Resolved // Manifest and Platform are zero if all of an index was copied
	Image    image.Image    // zero if it is an artifact, or as above
	Bytes    int64          // copied
	Reused   int64          // bytes of what the sink had already
}

// Copy copies the image of src into sink, and proves every byte of it. What it has copied stays if it
// fails: it is right, and a later Copy need not do it again. The caller gives the result a name.
func Copy(ctx context.Context, src Source, sink Sink, o CopyOptions) (Copied, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	root, err := src.Resolve(ctx)
	if err != nil {
		return Copied{}, err
	}
	c := &copier{src: src, sink: sink, o: o, seen: make(map[digest.Digest]bool)}
	c.want = o.Platform
	c.asked = o.Platform.OS != "" || o.Platform.Architecture != ""
	if !c.asked {
		c.want = image.HostPlatform()
	}
	o.Events.Emit(image.Event{Kind: image.EventResolved, Ref: o.Ref.String(), Descriptor: root})
	c.out.Resolved = image.Resolved{Ref: o.Ref, Root: root}
	if o.All && image.IsIndex(root.MediaType) {
		err = c.all(ctx, root, 0)
	} else {
		err = c.one(ctx, root, c.asked, 0)
	}
	c.out.Bytes, c.out.Reused = c.bytes.Load(), c.reused.Load()
	if err != nil {
		return c.out, failed("copy", root.Digest.String(), err)
	}
	return c.out, nil
}

type copier struct {
	src   Source
	sink  Sink
	o     CopyOptions
	want  ispec.Platform
	asked bool
	seen  map[digest.Digest]bool // documents that were looked at
	out   Copied

	bytes, reused atomic.Int64
}

// document copies an index or manifest and gives its bytes.
func (c *copier) document(ctx context.Context, d ispec.Descriptor, depth int) ([]byte, error) {
	if depth > image.MaxIndexDepth {
		return nil, fmt.Errorf("%w: indexes within indexes, more than %d deep", image.ErrMalformed, image.MaxIndexDepth)
	}
	c.seen[d.Digest] = true
	if d.Size > image.MaxManifestSize {
		return nil, image.TooLarge("copy", d, image.MaxManifestSize)
	}
	if err := c.blob(ctx, d); err != nil {
		return nil, err
	}
	return c.sink.ReadBlob(ctx, d, image.MaxManifestSize)
}

// one copies the image for the wanted platform below d. check says that nothing on the way has told
// its platform yet.
func (c *copier) one(ctx context.Context, d ispec.Descriptor, check bool, depth int) error {
	raw, err := c.document(ctx, d, depth)
	if err != nil {
		return err
	}
	if !image.IsIndex(d.MediaType) {
		return c.image(ctx, d, raw, check)
	}
	x, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return err
	}
	if depth == 0 && !c.asked && image.IsList(x) {
		return c.all(ctx, d, depth)
	}
	last := image.NoPlatform(x, c.want)
	for _, m := range image.Candidates(x, c.want) {
		if c.seen[m.Digest] {
			continue // listed twice; it was for another platform
		}
		last = c.one(ctx, m, !image.HasPlatform(m), depth+1)
		if !errors.Is(last, image.ErrNoPlatform) {
			return last
		}
	}
	return last
}

// all copies everything below an index. A manifest that the source does not have is left out: an
// index need not be complete (image-layout.md).
func (c *copier) all(ctx context.Context, d ispec.Descriptor, depth int) error {
	raw, err := c.document(ctx, d, depth)
	if err != nil {
		return err
	}
	switch {
	case image.IsManifest(d.MediaType):
		m, err := image.DecodeManifest(raw, d.MediaType)
		if err != nil {
			return err
		}
		return c.blobs(ctx, append([]ispec.Descriptor{m.Config}, m.Layers...), nil)
	case !image.IsIndex(d.MediaType):
		return nil
	}
	x, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return err
	}
	for _, m := range x.Manifests {
		if c.seen[m.Digest] {
			continue
		}
		if err := c.all(ctx, m, depth+1); err != nil {
			if errors.Is(err, ErrNotFound) && !c.seenAndStored(ctx, m) {
				c.o.Events.Emit(image.Event{Kind: image.EventWarning, Ref: c.o.Ref.String(), Descriptor: m, Err: err})
				continue
			}
			return err
		}
	}
	return nil
}

// seenAndStored tells whether the document itself came over, so that what is missing lies below it.
func (c *copier) seenAndStored(ctx context.Context, d ispec.Descriptor) bool {
	ok, err := c.sink.Has(ctx, d)
	return ok && err == nil
}

// image copies config and layers of a manifest.
func (c *copier) image(ctx context.Context, d ispec.Descriptor, raw []byte, check bool) error {
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return err
	}
	c.out.Resolved.Manifest = d
	if !image.IsConfig(m.Config.MediaType) { // an artifact: opaque content, copied as it is
		return c.blobs(ctx, append([]ispec.Descriptor{m.Config}, m.Layers...), nil)
	}
	if m.Config.Size > image.MaxConfigSize {
		return image.TooLarge("copy", m.Config, image.MaxConfigSize)
	}
	if err := c.blob(ctx, m.Config); err != nil {
		return err
	}
	config, err := c.sink.ReadBlob(ctx, m.Config, image.MaxConfigSize)
	if err != nil {
		return err
	}
	img, err := image.New(d, raw, config)
	if err != nil {
		return err
	}
	if has := img.Config().Platform; check && image.MatchPlatform(has, c.want) == 0 {
		return fmt.Errorf("%w %s: it is for %s", image.ErrNoPlatform, image.FormatPlatform(c.want), image.FormatPlatform(has))
	}
	c.out.Resolved.Platform = img.Config().Platform
	c.out.Image = img
	return c.blobs(ctx, m.Layers, img.Layers())
}

// blobs copies several at once; layers, if given, are what they are.
func (c *copier) blobs(ctx context.Context, list []ispec.Descriptor, layers []image.Layer) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Jobs)
	copied := make(map[digest.Digest]bool) // the same layer may be there twice
	for i, d := range list {
		if copied[d.Digest] {
			continue
		}
		copied[d.Digest] = true
		g.Go(func() error {
			if err := c.blob(ctx, d); err != nil {
				return err
			}
			if layers != nil && c.o.OnLayer != nil {
				c.o.OnLayer(i+1, layers[i])
			}
			return nil
		})
	}
	return g.Wait()
}
