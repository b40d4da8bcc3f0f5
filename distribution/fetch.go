package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

const (
	defaultJobs = 6
	// copyBuffer is what one job reads at once.
	copyBuffer = 128 << 10
	// progressStep is how many bytes lie between two events of progress.
	progressStep = 512 << 10
)

// PullOptions say what to pull. The zero value pulls for this machine.
type PullOptions struct {
	// Platform is what to choose from an index; image.HostPlatform() if zero. If it is given, an
	// image without an index must be for it too.
	Platform ispec.Platform
	// Events hears of the transfer.
	Events image.EventFunc
	// Jobs is how many blobs move at once; 6 if 0.
	Jobs int
	// OnLayer is called once for each layer of the image when its blob is in the sink, in the order in
	// which they get there, from several goroutines. It should not block for long: it holds up
	// the next blob.
	OnLayer func(image.Layer)
	// Artifacts takes what is no container image too: a manifest whose config is of a type that
	// only others understand, stored as it is (IS-M3).
	Artifacts bool
}

// PullResult is what Pull put into the sink.
type PullResult struct {
	Resolved image.Resolved
	Image    image.Image // zero for an artifact
	// Artifact tells that it is no container image.
	Artifact bool
	// BytesFetched were read from the network; BytesReused were in the sink.
	BytesFetched, BytesReused int64
}

type pull struct {
	c    *Client
	ref  reference.Ref
	sink Sink
	o    PullOptions

	large  digest.Digest // the blob that is worth several connections; "" if none is
	ranged atomic.Bool   // it had its try over several

	fetched, reused atomic.Int64
}

// Pull brings the image that ref names into the sink: the index if there is one, the manifest for
// the platform, the config and the layers, each proved by the sink's Commit. What the sink has is
// not transferred again. The name is resolved once; after that only digests are used.
func (c *Client) Pull(ctx context.Context, ref reference.Ref, sink Sink, o PullOptions) (PullResult, error) {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	p := &pull{c: c, ref: ref, sink: sink, o: o}
	res, err := p.run(ctx)
	if err != nil {
		return PullResult{}, wrap("pull", ref.String(), err)
	}
	return res, nil
}

func (p *pull) run(ctx context.Context) (PullResult, error) {
	root, err := p.c.Resolve(ctx, p.ref)
	if err != nil {
		return PullResult{}, err
	}
	p.emit(image.Event{Kind: image.EventResolved, Descriptor: root})
	want := p.o.Platform
	if want.OS == "" && want.Architecture == "" {
		want = image.HostPlatform()
	}
	manifest, raw, err := p.choose(ctx, root, want)
	if err != nil {
		return PullResult{}, err
	}
	m, err := image.DecodeManifest(raw, manifest.MediaType)
	if err != nil {
		return PullResult{}, err
	}
	var img image.Image
	artifact := p.o.Artifacts && !image.IsConfig(m.Config.MediaType)
	if artifact {
		err = p.opaque(ctx, m)
	} else if img, err = p.content(ctx, manifest, raw, m); err == nil {
		err = p.suits(img, want)
	}
	if err != nil {
		return PullResult{}, err
	}
	return PullResult{
		Resolved:     image.Resolved{Ref: p.ref, Root: root, Manifest: manifest, Platform: want},
		Image:        img,
		Artifact:     artifact,
		BytesFetched: p.fetched.Load(),
		BytesReused:  p.reused.Load(),
	}, nil
}

func (p *pull) emit(e image.Event) {
	e.Ref = p.ref.String()
	p.o.Events.Emit(e)
}

// choose follows indexes from root to the manifest for the platform.
func (p *pull) choose(ctx context.Context, d ispec.Descriptor, want ispec.Platform) (ispec.Descriptor, []byte, error) {
	for depth := 0; ; depth++ {
		raw, err := p.manifest(ctx, d)
		if err != nil {
			return d, nil, err
		}
		if !image.IsIndex(d.MediaType) {
			return d, raw, nil
		}
		if depth == image.MaxIndexDepth {
			return d, nil, fmt.Errorf("index %s: %w: more than %d indexes within each other", d.Digest, image.ErrMalformed, depth)
		}
		idx, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			return d, nil, err
		}
		if d, err = image.Select(idx, want); err != nil {
			return d, nil, err
		}
		if !image.IsIndex(d.MediaType) && !image.IsManifest(d.MediaType) {
			return d, nil, fmt.Errorf("%s: %w: %q", d.Digest, image.ErrMediaType, printable(d.MediaType))
		}
	}
}

// suits refuses an image that is not for a platform that was asked for by name. One that was not
// asked for is only warned of: emulators run it.
func (p *pull) suits(img image.Image, want ispec.Platform) error {
	has := img.Config().Platform
	if image.MatchPlatform(has, want) > 0 {
		return nil
	}
	err := &image.Error{
		Op: "select", Subject: img.Descriptor().Digest.String(), Clause: spec.IndexPlatform,
		Err: fmt.Errorf("%w %s: it is for %s", image.ErrNoPlatform, image.FormatPlatform(want), image.FormatPlatform(has)),
	}
	if p.o.Platform.OS != "" || p.o.Platform.Architecture != "" {
		return err
	}
	p.emit(image.Event{Kind: image.EventWarning, Descriptor: img.Descriptor(), Err: err})
	return nil
}

// manifest gives a manifest from the sink, or fetches it into the sink.
func (p *pull) manifest(ctx context.Context, d ispec.Descriptor) ([]byte, error) {
	if d.Size > image.MaxManifestSize {
		return nil, image.TooLarge("fetch manifest", d, image.MaxManifestSize)
	}
	ok, err := p.sink.Has(ctx, d)
	if err != nil {
		return nil, err
	}
	if ok {
		p.reused.Add(d.Size)
		p.emit(image.Event{Kind: image.EventReused, Descriptor: d, Bytes: d.Size, Total: d.Size})
		return p.sink.ReadBlob(ctx, d, image.MaxManifestSize)
	}
	raw, _, err := p.c.Manifest(ctx, p.ref, d)
	if err != nil {
		return nil, err
	}
	p.fetched.Add(int64(len(raw)))
	// Nothing of it enters the sink before it is known to be what it should be: the store holds
	// no document that could be read in two ways.
	if image.IsIndex(d.MediaType) {
		_, err = image.DecodeIndex(raw, d.MediaType)
	} else {
		_, err = image.DecodeManifest(raw, d.MediaType)
	}
	if err != nil {
		return nil, err
	}
	return raw, p.put(ctx, d, raw)
}

// put stores bytes that are in memory.
func (p *pull) put(ctx context.Context, d ispec.Descriptor, raw []byte) error {
	ing, err := p.sink.Ingest(ctx, d)
	if err != nil {
		return err
	}
	defer ing.Close() //nolint:errcheck // nothing to keep
	if off := ing.Offset(); off > 0 {
		if off > int64(len(raw)) {
			return errors.Join(ing.Abort(), sizeError(d, fmt.Sprintf("%d bytes", len(raw))))
		}
		raw = raw[off:]
	}
	if _, err := ing.Write(raw); err != nil {
		return err
	}
	if err := ing.Commit(ctx); err != nil {
		return errors.Join(err, ing.Abort())
	}
	return nil
}

// content brings config and layers into the sink, the config first and then the largest layers.
// The layers do not wait for the config; their DiffIDs, and so OnLayer, do.
func (p *pull) content(ctx context.Context, d ispec.Descriptor, raw []byte, m ispec.Manifest) (image.Image, error) {
	if err := p.worth(d, m); err != nil {
		return image.Image{}, err
	}
	layers := distinct(m.Layers)
	p.large = p.dominant(layers).Digest
	var img image.Image
	ready := make(chan struct{}) // closed when img is there
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.o.Jobs)
	g.Go(func() error {
		if err := p.fetchBlob(gctx, m.Config); err != nil {
			return err
		}
		configRaw, err := p.sink.ReadBlob(gctx, m.Config, image.MaxConfigSize)
		if err != nil {
			return err
		}
		if img, err = image.New(d, raw, configRaw); err != nil {
			return err
		}
		close(ready)
		return nil
	})
	for _, l := range layers {
		g.Go(func() error {
			if err := p.fetchBlob(gctx, l); err != nil {
				return fmt.Errorf("layer %d/%d: %w", position(m.Layers, l), len(m.Layers), err)
			}
			select {
			case <-ready:
				p.layerDone(img, l)
				return nil
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		})
	}
	if err := g.Wait(); err != nil {
		return image.Image{}, err
	}
	return img, nil
}

// position is where a blob is first in a list, from 1.
func position(list []ispec.Descriptor, d ispec.Descriptor) int {
	return 1 + slices.IndexFunc(list, func(o ispec.Descriptor) bool { return o.Digest == d.Digest })
}

// opaque brings the blobs of an artifact into the sink and looks into none of them.
func (p *pull) opaque(ctx context.Context, m ispec.Manifest) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.o.Jobs)
	for _, d := range distinct(append([]ispec.Descriptor{m.Config}, m.Layers...)) {
		g.Go(func() error { return p.fetchBlob(gctx, d) })
	}
	return g.Wait()
}

// worth refuses, before a byte is fetched, what could not be used.
func (p *pull) worth(d ispec.Descriptor, m ispec.Manifest) error {
	if m.Config.Size > image.MaxConfigSize {
		return image.TooLarge("fetch config", m.Config, image.MaxConfigSize)
	}
	if !image.IsConfig(m.Config.MediaType) {
		return &image.Error{
			Op: "check image", Subject: d.Digest.String(), Clause: spec.ManifestOpaque,
			Err: fmt.Errorf("%w: an artifact with a config of type %q, not a container image", image.ErrMediaType, printable(m.Config.MediaType)),
		}
	}
	return nil
}

// layerDone reports every layer of img whose blob is l; an image may hold the same one twice.
func (p *pull) layerDone(img image.Image, l ispec.Descriptor) {
	if p.o.OnLayer == nil {
		return
	}
	for _, layer := range img.Layers() {
		if layer.Descriptor.Digest == l.Digest {
			p.o.OnLayer(layer)
		}
	}
}

// distinct gives each blob once, largest first: the one that takes longest starts first.
func distinct(list []ispec.Descriptor) []ispec.Descriptor {
	var out []ispec.Descriptor
	for _, d := range list {
		if !slices.ContainsFunc(out, func(o ispec.Descriptor) bool { return o.Digest == d.Digest }) {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b ispec.Descriptor) int {
		switch {
		case a.Size > b.Size:
			return -1
		case a.Size < b.Size:
			return 1
		}
		return 0
	})
	return out
}

// fetchBlob brings one blob into the sink. A blob that was put together from several answers and
// proves wrong is fetched once more from its start: a checkpoint may be of another attempt (H-83),
// and a mirror may lie.
func (p *pull) fetchBlob(ctx context.Context, d ispec.Descriptor) error {
	ok, err := p.sink.Has(ctx, d)
	if err != nil {
		return err
	}
	if ok {
		p.reused.Add(d.Size)
		p.emit(image.Event{Kind: image.EventReused, Descriptor: d, Bytes: d.Size, Total: d.Size})
		return nil
	}
	doubtful, err := p.ingest(ctx, &d)
	for range maxDoubt {
		if err == nil || !doubtful || !lies(err) {
			break
		}
		p.emit(image.Event{Kind: image.EventRetry, Descriptor: d, Err: err})
		doubtful, err = p.ingest(ctx, &d)
	}
	if err != nil {
		err = wrap("fetch blob", d.Digest.String(), err)
		p.emit(image.Event{Kind: image.EventFailed, Descriptor: d, Total: d.Size, Err: err})
		return err
	}
	p.emit(image.Event{Kind: image.EventDone, Descriptor: d, Bytes: d.Size, Total: d.Size})
	return nil
}

// maxDoubt bounds how often a blob that proves wrong is fetched again.
const maxDoubt = 3

// ingest is one attempt at a blob; doubtful tells that another may give other bytes: these come from
// more than one answer, from a mirror, which is left alone then, or from a URL of want, which is
// taken out.
func (p *pull) ingest(ctx context.Context, want *ispec.Descriptor) (doubtful bool, err error) {
	d := *want
	ing, err := p.sink.Ingest(ctx, d)
	if err != nil {
		return false, err
	}
	defer ing.Close() //nolint:errcheck // Commit has proved what matters
	start := ing.Offset()
	if start > d.Size {
		return true, errors.Join(sizeError(d, fmt.Sprintf("%d bytes", start)), ing.Abort())
	}
	p.emit(image.Event{Kind: image.EventStarted, Descriptor: d, Bytes: start, Total: d.Size})
	body, err := p.open(ctx, d, start, func(err error) {
		p.emit(image.Event{Kind: image.EventRetry, Descriptor: d, Err: err})
	})
	if err != nil {
		return start > 0, p.giveUp(ing, err)
	}
	defer body.Close() //nolint:errcheck // never fails
	err = p.copyBlob(ing, body, d)
	wire, pieces, at, more := body.result()
	p.fetched.Add(wire)
	doubtful = start > 0 || pieces > 1
	if err == nil {
		err = ing.Commit(ctx)
	}
	if err != nil {
		if lies(err) && more {
			p.c.failed(ctx, at.h, err)
			doubtful = true
			want.URLs = without(d.URLs, at.foreign)
		}
		return doubtful, p.giveUp(ing, err)
	}
	p.reused.Add(start)
	return doubtful, nil
}

// giveUp keeps what a broken transfer brought, and forgets what is wrong.
func (p *pull) giveUp(ing Ingest, err error) error {
	if lies(err) {
		return errors.Join(err, ing.Abort())
	}
	return errors.Join(err, ing.Close())
}

func (p *pull) copyBlob(ing Ingest, body io.Reader, d ispec.Descriptor) error {
	buf, ok := p.c.buffers.Get().(*[]byte)
	if !ok {
		b := make([]byte, copyBuffer)
		buf = &b
	}
	defer p.c.buffers.Put(buf)
	told := ing.Offset()
	for at := told; ; {
		n, err := body.Read(*buf)
		if n > 0 {
			if _, err := ing.Write((*buf)[:n]); err != nil {
				return err
			}
			at += int64(n)
			if at-told >= progressStep {
				told = at
				p.emit(image.Event{Kind: image.EventProgress, Descriptor: d, Bytes: at, Total: d.Size})
			}
		}
		if err == io.EOF { //nolint:errorlint // as io.Reader gives it
			return nil
		}
		if err != nil {
			return err
		}
	}
}
