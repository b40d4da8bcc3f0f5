package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"slices"
	"sync"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

const (
	// copyBuffer is what one job reads at once, at most. While a megabyte is hashed and written the
	// next one arrives, so that the job seldom waits: 1 GiB from loopback takes 12 % less processor
	// time than with 128 KiB.
	copyBuffer = 1 << 20
	// progressStep is how many bytes lie between two events of progress.
	progressStep = 512 << 10
)

// buffer gives what a blob of this size is read with. It goes back into c.buffers.
func (c *Client) buffer(size int64) *[]byte {
	n := int(min(max(size, 1), copyBuffer))
	if buf, ok := c.buffers.Get().(*[]byte); ok && len(*buf) >= n {
		return buf
	}
	b := make([]byte, n)
	return &b
}

// content brings config and layers into the sink, the config first and then the largest layers.
// The layers do not wait for the config; their DiffIDs, and so OnLayer, do.
func (p *pull) content(ctx context.Context, d ispec.Descriptor, raw []byte, m ispec.Manifest) (image.Image, error) {
	if err := p.worth(d, m); err != nil {
		return image.Image{}, err
	}
	layers := distinct(m.Layers)
	jobs := p.jobs(layers)
	p.large = dominant(layers, jobs, p.c.rangeMin).Digest
	var img image.Image
	ready := make(chan struct{}) // closed when img is there
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	lead := newLead(gctx)
	g.Go(func() error {
		// The connection that the manifest came over is free: the largest layer gets it.
		if len(layers) > 0 && jobs > 1 {
			<-lead.asked
		}
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
	for i, l := range layers {
		g.Go(func() error {
			lctx := gctx
			if i == 0 {
				lctx = lead.ctx
			}
			err := p.fetchBlob(lctx, l)
			if i == 0 {
				lead.tell() // it may have asked for nothing
			}
			if err != nil {
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

// A lead is the context of the request that gets the first connection, and tells when it asks for one.
type lead struct {
	ctx   context.Context //nolint:containedctx // of one request
	asked chan struct{}
	tell  func() // that it asks, or will not
}

func newLead(ctx context.Context) lead {
	l := lead{asked: make(chan struct{})}
	l.tell = sync.OnceFunc(func() { close(l.asked) })
	l.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { l.tell() }})
	return l
}

// jobs is how many of these blobs move at once.
func (p *pull) jobs(list []ispec.Descriptor) int {
	if p.o.Jobs > 0 {
		return p.o.Jobs
	}
	var total int64
	for _, d := range list {
		total += d.Size
	}
	if n := int64(len(list)); n > defaultJobs && total/n <= smallBlob {
		return manyJobs
	}
	return defaultJobs
}

// position is where a blob is first in a list, from 1.
func position(list []ispec.Descriptor, d ispec.Descriptor) int {
	return 1 + slices.IndexFunc(list, func(o ispec.Descriptor) bool { return o.Digest == d.Digest })
}

// opaque brings the blobs of an artifact into the sink and looks into none of them.
func (p *pull) opaque(ctx context.Context, m ispec.Manifest) error {
	blobs := distinct(append([]ispec.Descriptor{m.Config}, m.Layers...))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs(blobs))
	for _, d := range blobs {
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
	for i, layer := range img.Layers() {
		if layer.Descriptor.Digest == l.Digest {
			p.o.OnLayer(i+1, layer)
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
	doubtful, err := p.ingest(ctx, &d, false)
	for range maxDoubt {
		if err == nil || !doubtful || !lies(err) {
			break
		}
		p.emit(image.Event{Kind: image.EventRetry, Descriptor: d, Err: err})
		doubtful, err = p.ingest(ctx, &d, errors.Is(err, errChanged))
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
// taken out. fickle tells that ETags of the registry change by themselves: they are ignored.
func (p *pull) ingest(ctx context.Context, want *ispec.Descriptor, fickle bool) (doubtful bool, err error) {
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
	body, err := p.open(ctx, d, start, newValidator(ing, fickle), func(err error) {
		p.emit(image.Event{Kind: image.EventRetry, Descriptor: d, Err: err})
	})
	if err != nil {
		return start > 0, p.giveUp(ing, err)
	}
	defer body.Close() //nolint:errcheck // never fails
	err = p.copyBlob(ing, body, d)
	wire, pieces, at, more := body.result()
	p.fetched.Add(wire)
	doubtful = start > 0 || pieces > 1 || errors.Is(err, errChanged)
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
	buf := p.c.buffer(d.Size)
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
