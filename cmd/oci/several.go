package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// fetchSeveral brings the images for several platforms into the store, below the index that they
// share: the name is resolved once.
func (a *app) fetchSeveral(ctx context.Context, s *store.Store, ref reference.Ref, t transferFlags) (ispec.Descriptor, pulled, error) {
	var root ispec.Descriptor
	done := pulled{Platforms: t.platforms}
	for i, platform := range t.platforms {
		one := t
		one.platform, one.platforms = platform, nil
		if i > 0 && ref.Transport == reference.Registry {
			ref = ref.WithDigest(root.Digest)
		}
		d, p, err := a.fetch(ctx, s, ref, one)
		if err != nil {
			return d, p, err
		}
		root = d
		done.Fetched, done.Reused = done.Fetched+p.Fetched, done.Reused+p.Reused
	}
	return root, done, nil
}

// registryJobs is how many blobs come from a server at once.
const registryJobs = 6

// fetchAll brings everything below what ref names into the store.
func (a *app) fetchAll(ctx context.Context, s *store.Store, ref reference.Ref, t transferFlags, p *progress) (ispec.Descriptor, pulled, error) {
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	defer src.Close()
	c, err := transport.Copy(ctx, src, localSink{s}, transport.CopyOptions{Ref: ref, All: true, Jobs: jobsFor(ref, t), Events: p.event})
	if err != nil {
		return ispec.Descriptor{}, pulled{}, err
	}
	done := copied(c)
	if image.IsIndex(c.Resolved.Root.MediaType) {
		done.Platforms, err = platformsOf(ctx, s, c.Resolved.Root)
	}
	return c.Resolved.Root, done, err
}

// platformsOf gives the platforms that an index of the store names.
func platformsOf(ctx context.Context, s *store.Store, d ispec.Descriptor) ([]string, error) {
	below, err := indexed(ctx, s, d)
	names := []string{}
	for _, m := range below {
		if image.HasPlatform(m) {
			names = append(names, image.FormatPlatform(*m.Platform))
		}
	}
	return names, err
}

// indexed gives what an index of the store lists; nothing for what is none.
func indexed(ctx context.Context, s *store.Store, d ispec.Descriptor) ([]ispec.Descriptor, error) {
	if !image.IsIndex(d.MediaType) {
		return nil, nil
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	return idx.Manifests, err
}

// fixedSource is a place of which one thing is wanted.
type fixedSource struct {
	transport.Source
	d ispec.Descriptor
}

// Resolve implements transport.Source.
func (f fixedSource) Resolve(context.Context) (ispec.Descriptor, error) { return f.d, nil }

// fetchReferrers brings into the store what refers at src to d or, if d is an index, to a manifest of
// it that is in the store; and what refers to that. The caller holds the store.
func (a *app) fetchReferrers(ctx context.Context, s *store.Store, src transport.Source, d ispec.Descriptor, t transferFlags) ([]ispec.Descriptor, error) {
	find, err := referrersOf(ctx, src)
	if err != nil {
		return nil, err
	}
	subjects := []ispec.Descriptor{d}
	below, err := indexed(ctx, s, d)
	if err != nil {
		return nil, err
	}
	for _, m := range below {
		if ok, err := s.Has(ctx, m); err != nil {
			return nil, err
		} else if ok {
			subjects = append(subjects, m)
		}
	}
	p := a.showProgress(t)
	defer p.close()
	w := &referrerWalk{find: find, seen: map[digest.Digest]bool{}}
	var list []ispec.Descriptor
	for _, subject := range subjects {
		found, err := w.below(ctx, subject.Digest, maxReferrerDepth)
		if err != nil {
			return nil, err
		}
		for _, r := range flatten(found) {
			if !image.IsManifest(r.MediaType) && !image.IsIndex(r.MediaType) {
				return nil, fmt.Errorf("referrer %s: %w: %q", r.Digest, image.ErrMediaType, r.MediaType)
			}
			if _, err := transport.Copy(ctx, fixedSource{src, r}, localSink{s}, transport.CopyOptions{All: true, Jobs: t.jobs, Events: p.event}); err != nil {
				return nil, err
			}
			list = append(list, r)
		}
	}
	return list, nil
}

// flatten lists a tree, what is referred to before what refers to it.
func flatten(tree []referrer) []ispec.Descriptor {
	var list []ispec.Descriptor
	for _, r := range tree {
		list = append(append(list, r.Descriptor), flatten(r.Referrers)...)
	}
	return list
}

// pullReferrers pulls what refers to an image, each named by its digest.
func (a *app) pullReferrers(ctx context.Context, s *store.Store, ref reference.Ref, done *pulled, t transferFlags) error {
	hold, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer hold.Release()
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	if err != nil {
		return err
	}
	defer src.Close()
	d, err := s.Resolve(ctx, done.Name)
	if err != nil {
		return err
	}
	list, err := a.fetchReferrers(ctx, s, src, d, t)
	if err != nil {
		return err
	}
	return nameReferrers(ctx, s, ref, list, done)
}

// nameReferrers names referrers in the store: what has no name is not kept.
func nameReferrers(ctx context.Context, s *store.Store, ref reference.Ref, list []ispec.Descriptor, done *pulled) error {
	for _, r := range list {
		if err := s.Tag(ctx, ref.WithDigest(r.Digest).String(), r); err != nil {
			return err
		}
		done.Referrers = append(done.Referrers, r.Digest.String())
	}
	return nil
}
