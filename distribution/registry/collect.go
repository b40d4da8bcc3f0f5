package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
)

// collect deletes d, which may be anything, unless a name leads to it.
func (p *Pool) collect(ctx context.Context, d digest.Digest) error {
	b, err := p.content.Open(ctx, d)
	if err != nil {
		return err
	}
	_ = b.Close()
	used, err := p.reaches(ctx, d)
	if err != nil {
		return err
	}
	if used {
		return fmt.Errorf("delete %s: %w", d, ErrInUse)
	}
	return p.content.Delete(ctx, d)
}

// reaches tells whether a name leads to d, through indexes and manifests. What cannot be read is an
// error: d may be part of it. What is not there has no parts.
func (p *Pool) reaches(ctx context.Context, d digest.Digest) (bool, error) {
	names, err := p.content.Names(ctx)
	if err != nil {
		return false, err
	}
	seen := make(map[digest.Digest]bool, len(names))
	var queue []digest.Digest
	found := false
	add := func(to digest.Digest) {
		found = found || to == d
		if !seen[to] {
			seen[to] = true
			queue = append(queue, to)
		}
	}
	for _, to := range names {
		add(to.Digest)
	}
	for len(queue) > 0 && !found {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		c, err := p.decoded(ctx, at)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		for _, child := range c.children() {
			if child.Digest == d || image.IsIndex(child.MediaType) || image.IsManifest(child.MediaType) {
				add(child.Digest)
			}
		}
		for _, b := range c.Layers {
			found = found || b.Digest == d
		}
		found = found || c.Config != nil && c.Config.Digest == d
	}
	return found, nil
}

func (p *Pool) decoded(ctx context.Context, d digest.Digest) (content, error) {
	m, err := p.proved(ctx, d)
	if err == nil {
		err = m.invalid
	}
	return m.content, err
}

// children gives the digests of the manifests in the index d; none if it is no index, or gone.
func (p *Pool) children(ctx context.Context, d digest.Digest) ([]digest.Digest, error) {
	c, err := p.decoded(ctx, d)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []digest.Digest
	for _, m := range c.children() {
		list = append(list, m.Digest)
	}
	return list, nil
}
