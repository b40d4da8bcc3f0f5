package transport

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// Directory is one image as `skopeo copy ... dir:PATH` writes it: manifest.json, and each blob in a file
// named by the hex of its digest. An index, which skopeo writes with --all, has its manifests beside
// it as HEX.manifest.json.
type Directory struct {
	from files
	ref  reference.Ref
	raw  []byte
	desc ispec.Descriptor
}

// OpenDirectory opens the directory of a dir: reference.
func OpenDirectory(ref reference.Ref) (*Directory, error) {
	dir, err := layout.OpenDir(ref.Path)
	if err != nil {
		return nil, err
	}
	d := &Directory{from: dirFiles{dir}, ref: ref}
	if d.raw, err = readFile(d.from, manifestFile, image.MaxManifestSize); err == nil {
		d.desc.MediaType, err = image.DetectMediaType(d.raw)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	d.desc.Digest, d.desc.Size = digest.FromBytes(d.raw), int64(len(d.raw))
	return d, nil
}

// Close implements Source.
func (d *Directory) Close() error { return d.from.close() }

// Resolve implements Source.
func (d *Directory) Resolve(context.Context) (ispec.Descriptor, error) { return d.desc, nil }

// List implements Source.
func (d *Directory) List(context.Context) ([]Named, error) {
	return []Named{{Descriptor: d.desc}}, nil
}

// Open implements Source.
func (d *Directory) Open(ctx context.Context, want ispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := image.ValidateDigest(want.Digest); err != nil {
		return nil, failed("open", string(want.Digest), err)
	}
	name := want.Digest.Encoded()
	switch {
	case want.Digest == d.desc.Digest:
		name = manifestFile
	case image.IsManifest(want.MediaType), image.IsIndex(want.MediaType):
		name += ".manifest.json"
	}
	return openSized(d.from, name, want)
}
