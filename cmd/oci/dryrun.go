package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// fetchPlan is what a pull would do: the JSON of `oci pull --dry-run`.
type fetchPlan struct {
	Name      string   `json:"ref"`
	Digest    string   `json:"digest"`              // of what the name means
	Manifest  string   `json:"manifest,omitempty"`  // if it is one
	Platforms []string `json:"platforms,omitempty"` // if several were asked for
	Fetch     int64    `json:"bytesToFetch"`        // bytes that the store lacks
	Reuse     int64    `json:"bytesReused"`         // bytes that it has
}

// showPlan prints what a pull would fetch. The store is not written to, and need not be there.
func (a *app) showPlan(ctx context.Context, ref reference.Ref, f pullFlags, t transferFlags, format formatFlag) error {
	s, err := a.viewStore(ctx)
	if err != nil {
		return err
	}
	if s != nil {
		defer s.Close()
	}
	p, err := a.planPull(ctx, s, ref, f, t)
	switch {
	case err != nil:
		return err
	case format.json():
		return format.write(a.out, p)
	}
	_, err = fmt.Fprintf(a.out, "%s %s %s to fetch, %s present\n", p.Name, p.Digest, size(p.Fetch), size(p.Reuse))
	return err
}

func (a *app) planPull(ctx context.Context, s *store.Store, ref reference.Ref, f pullFlags, t transferFlags) (fetchPlan, error) {
	if f.policy == pullNever || f.policy == pullMissing {
		have, err := a.present(ctx, s, ref, t)
		if err == nil || f.policy == pullNever || !errors.Is(err, store.ErrNotFound) {
			return fetchPlan{Name: have.Name, Digest: have.Digest, Manifest: have.Manifest, Platforms: have.Platforms, Reuse: have.Reused}, err
		}
	}
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	if err != nil {
		return fetchPlan{}, err
	}
	defer src.Close()
	d, err := src.Resolve(ctx)
	if err != nil {
		return fetchPlan{}, err
	}
	p, err := planFetch(ctx, s, src, d, t)
	p.Name = ref.String()
	return p, err
}

// planFetch adds up what the store lacks of d. Manifests are read from src, and not kept.
func planFetch(ctx context.Context, s *store.Store, src transport.Source, d ispec.Descriptor, t transferFlags) (fetchPlan, error) {
	w := &planner{s: s, src: src, seen: map[digest.Digest]bool{}}
	_, w.here = src.(storeSource)
	w.plan.Digest, w.plan.Platforms = d.Digest.String(), t.platforms
	switch {
	case t.all:
		err := w.whole(ctx, d, 0)
		return w.plan, err
	case len(t.platforms) == 0:
		m, err := w.one(ctx, d, t.platform)
		w.plan.Manifest = m.Digest.String()
		return w.plan, err
	}
	for _, p := range t.platforms {
		if _, err := w.one(ctx, d, p); err != nil {
			return w.plan, err
		}
	}
	return w.plan, nil
}

type planner struct {
	s    *store.Store // nil if there is none
	src  transport.Source
	here bool // src is the store: what it lacks has to be fetched, wherever that may be
	seen map[digest.Digest]bool
	plan fetchPlan
}

// count adds one blob, once.
func (w *planner) count(ctx context.Context, d ispec.Descriptor) error {
	if w.seen[d.Digest] {
		return nil
	}
	w.seen[d.Digest] = true
	if w.s != nil {
		ok, err := w.s.Has(ctx, d)
		if err != nil {
			return err
		}
		if ok {
			w.plan.Reuse += d.Size
			return nil
		}
	}
	w.plan.Fetch += d.Size
	return nil
}

// read counts a manifest or index and gives its bytes, from the store if it has them.
func (w *planner) read(ctx context.Context, d ispec.Descriptor) ([]byte, error) {
	if err := w.count(ctx, d); err != nil {
		return nil, err
	}
	if w.s != nil {
		raw, err := w.s.ReadBlob(ctx, d, image.MaxManifestSize)
		if !errors.Is(err, store.ErrNotFound) {
			return raw, err
		}
	}
	return readProved(ctx, w.src, d, image.MaxManifestSize)
}

// one counts the image for a platform.
func (w *planner) one(ctx context.Context, d ispec.Descriptor, platform string) (ispec.Descriptor, error) {
	want, err := wantedPlatform(platform)
	if err != nil {
		return d, err
	}
	for depth := 0; depth <= image.MaxIndexDepth; depth++ {
		raw, err := w.read(ctx, d)
		if err != nil {
			return d, err
		}
		if !image.IsIndex(d.MediaType) {
			return d, w.blobs(ctx, d, raw)
		}
		idx, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			return d, err
		}
		if d, err = image.Select(idx, want); err != nil {
			return d, err
		}
	}
	return d, tooDeep(d)
}

func tooDeep(d ispec.Descriptor) error {
	return fmt.Errorf("%s: %w: more than %d indexes within each other", d.Digest, image.ErrMalformed, image.MaxIndexDepth)
}

func (w *planner) blobs(ctx context.Context, d ispec.Descriptor, raw []byte) error {
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return err
	}
	for _, b := range append([]ispec.Descriptor{m.Config}, m.Layers...) {
		if err := w.count(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// whole counts everything below d. A manifest of an index that is not at the source is left out, as
// the pull does.
func (w *planner) whole(ctx context.Context, d ispec.Descriptor, depth int) error {
	if depth > image.MaxIndexDepth {
		return tooDeep(d)
	}
	if !image.IsIndex(d.MediaType) && !image.IsManifest(d.MediaType) {
		return w.count(ctx, d)
	}
	raw, err := w.read(ctx, d)
	if depth > 0 && (errors.Is(err, transport.ErrNotFound) || errors.Is(err, distribution.ErrNotFound)) {
		if !w.here {
			w.plan.Fetch -= d.Size
		}
		return nil
	}
	if err != nil {
		return err
	}
	if image.IsManifest(d.MediaType) {
		return w.blobs(ctx, d, raw)
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return err
	}
	for _, m := range idx.Manifests {
		if w.seen[m.Digest] {
			continue
		}
		if err := w.whole(ctx, m, depth+1); err != nil {
			return err
		}
	}
	return nil
}
