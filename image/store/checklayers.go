package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
)

// The names that package unpack/snapshot uses in layers/, as far as they must be known here.
const (
	layerStaging = "staging"    // layers that are being unpacked, or whose unpacking was killed
	layerRecord  = "layer.json" // in <algorithm>/<hex>/: what the directory is
	maxRecord    = 64 << 20     // bytes; it lists directories of the layer
)

// layers looks at the directories in layers/: each must be of the layer that it is named by. Their
// files are for package unpack/snapshot to prove.
func (c *checker) layers(ctx context.Context) error {
	root := c.s.dir.Root().FS()
	top, err := fs.ReadDir(root, layersDir)
	if err != nil {
		return nil //nolint:nilerr // a layout of others has none
	}
	for _, t := range top {
		dir := path.Join(layersDir, t.Name())
		algorithm := digest.Algorithm(t.Name())
		if !t.IsDir() || algorithm != digest.SHA256 && algorithm != digest.SHA512 && t.Name() != layerStaging {
			continue // locks and the like
		}
		list, err := fs.ReadDir(root, dir)
		if err != nil {
			return err
		}
		for _, e := range list {
			name := path.Join(dir, e.Name())
			d := digest.NewDigestFromEncoded(algorithm, e.Name())
			switch {
			case t.Name() == layerStaging:
				c.note("%s: a layer that is being unpacked, or was when its process died", name)
			case image.ValidateDigest(d) != nil:
				c.note("%s: not a layer", name)
			default:
				c.r.Layers++
				if err := c.layer(name, d); err != nil {
					c.problem(name, failed("check layer", d.String(), err))
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) layer(name string, d digest.Digest) error {
	raw, err := c.s.dir.ReadFile(path.Join(name, layerRecord), maxRecord)
	if err != nil {
		return err
	}
	var record struct {
		DiffID digest.Digest `json:"diffID"`
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		return fmt.Errorf("%s: %w: %w", layerRecord, image.ErrMalformed, err)
	}
	if record.DiffID != d {
		return fmt.Errorf("%s: %w: it is of the layer %.100q", layerRecord, image.ErrMalformed, record.DiffID)
	}
	return nil
}
