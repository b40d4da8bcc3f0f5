package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// graph is what can be reached from the entries of index.json.
type graph struct {
	s       *Store
	reached map[digest.Digest]bool
	diffIDs map[digest.Digest]bool // of the configs that were reached; only if wanted
	broken  func(parent ispec.Descriptor, err error) error
	missing func(parent, child ispec.Descriptor) error
}

// follow marks d and everything below it. Only indexes and manifests have anything below them;
// content of other types is opaque (image-index.md, manifest.md).
func (g *graph) follow(ctx context.Context, d ispec.Descriptor, depth int) error {
	if g.reached[d.Digest] {
		return nil
	}
	g.reached[d.Digest] = true
	if !image.IsIndex(d.MediaType) && !image.IsManifest(d.MediaType) {
		return nil
	}
	if depth > image.MaxIndexDepth {
		return g.broken(d, fmt.Errorf("%w: indexes more than %d deep", image.ErrMalformed, image.MaxIndexDepth))
	}
	children, err := g.children(ctx, d)
	if err != nil {
		return g.broken(d, err)
	}
	for _, c := range children {
		ok, err := g.s.Has(ctx, c)
		if err != nil {
			err = g.broken(c, err)
		} else if !ok {
			err = g.missing(d, c)
		}
		if err != nil {
			return err
		}
		if !ok {
			g.reached[c.Digest] = true // a file of another size is wanted, though not good
			continue
		}
		if err := g.follow(ctx, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// children gives the descriptors in the index or manifest d.
func (g *graph) children(ctx context.Context, d ispec.Descriptor) ([]ispec.Descriptor, error) {
	raw, err := g.s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	if image.IsIndex(d.MediaType) {
		x, err := image.DecodeIndex(raw, d.MediaType)
		return x.Manifests, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return nil, err
	}
	if g.diffIDs != nil && image.IsConfig(m.Config.MediaType) {
		if err := g.config(ctx, m.Config); err != nil {
			return nil, err
		}
	}
	return append([]ispec.Descriptor{m.Config}, m.Layers...), nil
}

func (g *graph) config(ctx context.Context, d ispec.Descriptor) error {
	raw, err := g.s.ReadBlob(ctx, d, image.MaxConfigSize)
	if errors.Is(err, ErrNotFound) {
		return nil // reported, if at all, as a missing child
	}
	if err != nil {
		return err
	}
	c, err := image.DecodeConfig(raw)
	if err != nil {
		return err
	}
	for _, id := range c.RootFS.DiffIDs {
		g.diffIDs[id] = true
	}
	return nil
}

// file is a file of blobs/.
type file struct {
	name   string        // path below the root
	digest digest.Digest // "" if the name is none of a blob
	info   fs.FileInfo
}

// files lists blobs/<algorithm>/<encoded>, whatever they are.
func (s *Store) files() ([]file, error) {
	root := s.dir.Root().FS()
	algorithms, err := fs.ReadDir(root, ispec.ImageBlobsDir)
	if err != nil {
		return nil, err
	}
	var list []file
	for _, a := range algorithms {
		dir := path.Join(ispec.ImageBlobsDir, a.Name())
		if !a.IsDir() {
			info, err := a.Info()
			if err != nil {
				return nil, err
			}
			list = append(list, file{name: dir, info: info})
			continue
		}
		blobs, err := fs.ReadDir(root, dir)
		if err != nil {
			return nil, err
		}
		for _, b := range blobs {
			info, err := b.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			f := file{name: path.Join(dir, b.Name()), info: info}
			if d := digest.NewDigestFromEncoded(digest.Algorithm(a.Name()), b.Name()); image.ValidateDigest(d) == nil {
				f.digest = d
			}
			list = append(list, f)
		}
	}
	return list, nil
}
