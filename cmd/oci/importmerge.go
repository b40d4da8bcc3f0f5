package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// namesakes are the images that come under one name, those of one digest once.
type namesakes struct {
	name string
	list []*incoming
}

// group puts images of one name together, and refuses several if they are not to be merged.
func (f importFlags) group(list []*incoming) ([]*namesakes, error) {
	var groups []*namesakes
	for _, in := range list {
		i := slices.IndexFunc(groups, func(g *namesakes) bool {
			return g.name == in.name && (in.name != "" || g.list[0].d.Digest == in.d.Digest)
		})
		if i < 0 {
			groups = append(groups, &namesakes{in.name, []*incoming{in}})
			continue
		}
		g := groups[i]
		if slices.ContainsFunc(g.list, func(o *incoming) bool { return o.d.Digest == in.d.Digest }) {
			continue
		}
		if !f.merge {
			return nil, usageErrorf(nil, "%s is %s in %s and %s in %s: --merge makes one index of them, --no-tags keeps both by their digests",
				in.name, g.list[0].d.Digest, g.list[0].ref, in.d.Digest, in.ref)
		}
		g.list = append(g.list, in)
	}
	return groups, nil
}

// nameAll names what was brought into the store, in the order of the sources.
func (a *app) nameAll(ctx context.Context, s *store.Store, groups []*namesakes) ([]pulled, error) {
	results := []pulled{}
	for _, g := range groups {
		done, d := g.list[0].done, g.list[0].d
		if len(g.list) > 1 {
			var err error
			if d, err = merged(ctx, s, g.list); err != nil {
				return nil, fmt.Errorf("merge %s: %w", g.name, err)
			}
			done = pulled{}
			for _, in := range g.list {
				done.Fetched, done.Reused = done.Fetched+in.done.Fetched, done.Reused+in.done.Reused
			}
			if done.Platforms, err = platformsOf(ctx, s, d); err != nil {
				return nil, err
			}
			done.named(g.name, d)
		}
		var err error
		if g.name == "" {
			err = s.Keep(ctx, d)
		} else {
			err = s.Tag(ctx, g.name, d)
		}
		if err != nil {
			return nil, err
		}
		results = append(results, done)
	}
	return results, nil
}

// merged makes one index of several images and indexes, in the store. Two images for one platform are an
// error: neither could be chosen.
func merged(ctx context.Context, s *store.Store, list []*incoming) (ispec.Descriptor, error) {
	idx := ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageIndex}
	seen := make(map[digest.Digest]bool)
	platforms := make(map[string]digest.Digest)
	for _, in := range list {
		entries, err := indexed(ctx, s, in.d)
		if err == nil && !image.IsIndex(in.d.MediaType) {
			var m ispec.Descriptor
			m, err = withPlatform(ctx, s, in.d)
			entries = []ispec.Descriptor{m}
		}
		if err != nil {
			return ispec.Descriptor{}, err
		}
		for _, m := range entries {
			if seen[m.Digest] {
				continue
			}
			seen[m.Digest] = true
			if image.HasPlatform(m) && m.Annotations[attestationOf] == "" {
				text := image.FormatPlatform(*m.Platform)
				if other, twice := platforms[text]; twice {
					return ispec.Descriptor{}, fmt.Errorf("%w: %s and %s are both for %s", image.ErrMalformed, other, m.Digest, text)
				}
				platforms[text] = m.Digest
			}
			idx.Manifests = append(idx.Manifests, m)
		}
	}
	return putDocument(ctx, s, ispec.Descriptor{}, idx.MediaType, idx)
}

// withPlatform gives the descriptor of an image as an index lists it.
func withPlatform(ctx context.Context, s *store.Store, d ispec.Descriptor) (ispec.Descriptor, error) {
	m := ispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	img, err := s.Image(ctx, d, ispec.Platform{})
	if err != nil {
		return m, err
	}
	p := img.Config().Platform
	m.Platform = &p
	return m, nil
}
