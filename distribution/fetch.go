package distribution

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

const (
	defaultJobs = 6
	// manyJobs is how many blobs move at once where they are small, smallBlob on average: they wait for
	// answers more than for bytes. 60 layers of 1 MiB take 12 % less time than with 6.
	manyJobs  = 12
	smallBlob = 4 << 20
)

// PullOptions say what to pull. The zero value pulls for this machine.
type PullOptions struct {
	// Platform is what to choose from an index; image.HostPlatform() if zero. If it is given, an
	// image without an index must be for it too.
	Platform ispec.Platform
	// Known is what the name meant when the sink got it; zero if the sink does not have it. A known
	// name is asked for with a HEAD, which is all there is to do when it means the same. An unknown
	// one is asked for with a GET, which saves a round trip, unless mirrors are to give the manifest.
	Known ispec.Descriptor
	// Events hears of the transfer.
	Events image.EventFunc
	// Jobs is how many blobs move at once; if 0, 6, or 12 where they are small.
	Jobs int
	// OnLayer is called once for each layer of the image, with its place in it, 1 for the base, when its
	// blob is in the sink: in the order in which they get there, from several goroutines. It should not block for long: it holds up
	// the next blob.
	OnLayer func(index int, l image.Layer)
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
	p := &pull{c: c, ref: ref, sink: sink, o: o}
	res, err := p.run(ctx)
	if err != nil {
		return PullResult{}, wrap("pull", ref.String(), err)
	}
	return res, nil
}

func (p *pull) run(ctx context.Context) (PullResult, error) {
	root, raw, err := p.resolve(ctx)
	if err != nil {
		return PullResult{}, err
	}
	p.emit(image.Event{Kind: image.EventResolved, Descriptor: root})
	want := p.o.Platform
	if want.OS == "" && want.Architecture == "" {
		want = image.HostPlatform()
	}
	manifest, raw, err := p.choose(ctx, root, raw, want)
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

// resolve gives what the name means, and its bytes if they came with the answer. Where there are
// mirrors the registry is only asked what the name means: they have the bytes.
func (p *pull) resolve(ctx context.Context) (ispec.Descriptor, []byte, error) {
	list, err := p.c.endpoints("resolve", p.ref)
	if err != nil {
		return ispec.Descriptor{}, nil, err
	}
	if p.o.Known.Digest != "" || len(list) > 1 {
		d, err := p.c.Resolve(ctx, p.ref)
		return d, nil, err
	}
	raw, d, err := p.c.named(ctx, p.ref)
	return d, raw, err
}

// choose follows indexes from root to the manifest for the platform. raw is that of root, if it is
// known.
func (p *pull) choose(ctx context.Context, d ispec.Descriptor, raw []byte, want ispec.Platform) (ispec.Descriptor, []byte, error) {
	for depth := 0; ; depth++ {
		var err error
		if raw == nil {
			raw, err = p.manifest(ctx, d)
		} else {
			err = p.keep(ctx, d, raw)
		}
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
		raw = nil
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
	return raw, p.keep(ctx, d, raw)
}

// keep puts a manifest that was fetched into the sink. Nothing of it enters before it is known to be
// what it should be: the store holds no document that could be read in two ways.
func (p *pull) keep(ctx context.Context, d ispec.Descriptor, raw []byte) error {
	p.fetched.Add(int64(len(raw)))
	var err error
	if image.IsIndex(d.MediaType) {
		_, err = image.DecodeIndex(raw, d.MediaType)
	} else {
		_, err = image.DecodeManifest(raw, d.MediaType)
	}
	if err != nil {
		return err
	}
	return p.put(ctx, d, raw)
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
