package transport

import (
	"context"
	"io"
	"path"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// toLayoutArchive writes a tar of a layout with these images alone. The small files come first, for those
// who read it as a stream.
func (x *exporter) toLayoutArchive(ctx context.Context, items []Item, dest reference.Ref) error {
	list, err := x.collect(ctx, items)
	if err != nil {
		return err
	}
	index := layout.NewIndex()
	if err := x.enter(index, items); err != nil {
		return err
	}
	raw, err := index.Encode()
	if err != nil {
		return err
	}
	return x.writeArchive(dest.Path, func(a archive) error {
		if err := addBytes(a, ispec.ImageLayoutFile, []byte(layout.Marker)); err != nil {
			return err
		}
		if err := addBytes(a, ispec.ImageIndexFile, raw); err != nil {
			return err
		}
		made := make(map[string]bool)
		for _, b := range list {
			name := layout.BlobPath(b.Digest)
			for _, parent := range [...]string{ispec.ImageBlobsDir, path.Dir(name)} {
				if made[parent] {
					continue
				}
				made[parent] = true
				if err := a.addDir(parent); err != nil {
					return err
				}
			}
			if err := a.add(name, b.Size, func(w io.Writer) error { return x.blob(ctx, b, w) }); err != nil {
				return err
			}
		}
		return nil
	})
}
