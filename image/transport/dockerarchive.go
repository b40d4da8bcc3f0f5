package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// maxArchiveImages bounds the images of one docker-archive.
const maxArchiveImages = 1000

// archiveImage is an entry of the manifest.json of docker save.
type archiveImage struct {
	Config   string   // name of the config's file
	RepoTags []string // NAME:TAG, not normalised
	Layers   []string // names of the layers' tars, base first
}

// DockerArchive is a tar in the format of docker save.
type DockerArchive struct {
	from   *tarFiles
	ref    reference.Ref
	images []archiveImage

	mu   sync.Mutex
	made map[int]ispec.Descriptor        // manifests that were made, by position in images
	at   map[digest.Digest]archiveMember // where content is
}

// archiveMember is content of an archive: bytes that were made, or a file.
type archiveMember struct {
	raw  []byte
	name string
}

// OpenDockerArchive opens the tar of a docker-archive: reference.
func OpenDockerArchive(ctx context.Context, ref reference.Ref) (*DockerArchive, error) {
	t, err := openTar(ctx, ref.Path)
	if err != nil {
		return nil, err
	}
	return newDockerArchive(t, ref)
}

// newDockerArchive reads the archive's table of contents; it closes t if it fails.
func newDockerArchive(t *tarFiles, ref reference.Ref) (*DockerArchive, error) {
	a := &DockerArchive{from: t, ref: ref, made: make(map[int]ispec.Descriptor), at: make(map[digest.Digest]archiveMember)}
	if err := a.read(); err != nil {
		t.close()
		return nil, err
	}
	return a, nil
}

func (a *DockerArchive) read() error {
	raw, err := readFile(a.from, "manifest.json", image.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no output of docker save: %w", ErrNotLayout, err)
	}
	if err != nil {
		return err
	}
	if a.images, err = archiveImages(raw); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	if len(a.images) > maxArchiveImages {
		return fmt.Errorf("manifest.json: %w: more than %d images", image.ErrMalformed, maxArchiveImages)
	}
	return nil
}

// archiveImages decodes a manifest.json so that no two programs can read it in two ways: names that come
// twice are refused, and those that differ in case, which encoding/json would take, are not read.
func archiveImages(raw []byte) ([]archiveImage, error) {
	const object = `{"":`
	whole := append(append([]byte(object), raw...), '}') // the strict decoder takes objects
	var list map[string][]map[string]json.RawMessage
	if err := image.DecodeStrict(whole, image.MaxManifestSize+len(object)+1, new(struct{})); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(whole, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrMalformed, err)
	}
	images := make([]archiveImage, len(list[""]))
	for i, e := range list[""] {
		to := &images[i]
		for name, v := range map[string]any{"Config": &to.Config, "RepoTags": &to.RepoTags, "Layers": &to.Layers} {
			if e[name] == nil {
				continue
			}
			if err := json.Unmarshal(e[name], v); err != nil {
				return nil, fmt.Errorf("%s of image %d: %w: %w", name, i, image.ErrMalformed, err)
			}
		}
	}
	return images, nil
}

// Close implements Source.
func (a *DockerArchive) Close() error { return a.from.close() }

// List implements Source. An image with several names is listed once for each.
func (a *DockerArchive) List(context.Context) ([]Named, error) {
	var list []Named
	for i := range a.images {
		d, err := a.manifest(i)
		if err != nil {
			return nil, err
		}
		for _, name := range a.images[i].RepoTags {
			list = append(list, Named{normal(name), d})
		}
		if len(a.images[i].RepoTags) == 0 {
			list = append(list, Named{"", d})
		}
	}
	return list, nil
}

// Resolve implements Source. Only the image that is asked for is looked at.
func (a *DockerArchive) Resolve(context.Context) (ispec.Descriptor, error) {
	i, err := a.find()
	if err == nil {
		var d ispec.Descriptor
		if d, err = a.manifest(i); err == nil {
			return d, nil
		}
	}
	return ispec.Descriptor{}, failed("resolve", a.ref.String(), err)
}

// find gives the position of the image that the reference names.
func (a *DockerArchive) find() (int, error) {
	// Positions stand for the manifests, which cost the reading of layers to make.
	var list []Named
	for i, m := range a.images {
		mark := ispec.Descriptor{Size: int64(i), Digest: digest.Digest(m.Config)}
		if len(m.RepoTags) == 0 || a.ref.Tag == "" || a.ref.Tag[0] == '@' {
			name := ""
			if len(m.RepoTags) > 0 {
				name = m.RepoTags[0]
			}
			list = append(list, Named{name, mark})
			continue
		}
		for _, name := range m.RepoTags {
			list = append(list, Named{normal(name), mark})
		}
	}
	var d ispec.Descriptor
	var err error
	if a.ref.Tag == "" || a.ref.Tag[0] == '@' {
		d, err = pick(list, a.ref.Tag)
	} else {
		d, err = byName(list, a.ref.Tag)
	}
	return int(d.Size), err
}

// Open implements Source.
func (a *DockerArchive) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	m, ok := a.at[d.Digest]
	a.mu.Unlock()
	switch {
	case !ok:
		return nil, failed("open", string(d.Digest), ErrNotFound)
	case m.name != "":
		return openSized(a.from, m.name, d)
	case int64(len(m.raw)) != d.Size:
		return nil, failed("open", string(d.Digest), image.ErrSizeMismatch)
	}
	return io.NopCloser(bytes.NewReader(m.raw)), nil
}

// manifest makes the manifest of the image at position i, once.
func (a *DockerArchive) manifest(i int) (ispec.Descriptor, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d, ok := a.made[i]; ok {
		return d, nil
	}
	d, err := a.make(a.images[i])
	if err != nil {
		return ispec.Descriptor{}, fmt.Errorf("image %d of %d: %w", i+1, len(a.images), err)
	}
	a.made[i] = d
	return d, nil
}

func (a *DockerArchive) make(m archiveImage) (ispec.Descriptor, error) {
	name, ok := memberName(m.Config)
	if !ok {
		return ispec.Descriptor{}, fmt.Errorf("%w: config is %.100q", image.ErrMalformed, m.Config)
	}
	raw, err := readFile(a.from, name, image.MaxConfigSize)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	config, err := image.DecodeConfig(raw)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	if len(config.RootFS.DiffIDs) != len(m.Layers) {
		return ispec.Descriptor{}, fmt.Errorf("%w: %d layers but %d DiffIDs", image.ErrMalformed, len(m.Layers), len(config.RootFS.DiffIDs))
	}
	made := ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ispec.MediaTypeImageManifest,
		Config:    a.keep(ispec.MediaTypeImageConfig, raw),
		Layers:    []ispec.Descriptor{},
	}
	for i, layer := range m.Layers {
		d, err := a.layer(layer, config.RootFS.DiffIDs[i])
		if err != nil {
			return ispec.Descriptor{}, fmt.Errorf("layer %d of %d: %w", i+1, len(m.Layers), err)
		}
		made.Layers = append(made.Layers, d)
	}
	manifest, err := json.Marshal(made)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	return a.keep(ispec.MediaTypeImageManifest, manifest), nil
}

// keep describes a document and remembers its bytes.
func (a *DockerArchive) keep(mediaType string, raw []byte) ispec.Descriptor {
	d := digest.FromBytes(raw)
	a.at[d] = archiveMember{raw: raw}
	return ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

// layer describes a layer. One that is not compressed has its DiffID for a digest, which Copy proves
// like every digest; one that is (docker save from a containerd store) must be hashed to have one.
func (a *DockerArchive) layer(file string, diffID digest.Digest) (ispec.Descriptor, error) {
	name, ok := memberName(file)
	if !ok {
		return ispec.Descriptor{}, fmt.Errorf("%w: layer is %.100q", image.ErrMalformed, file)
	}
	r, size, err := a.from.open(name)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	defer r.Close()
	d := ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: diffID, Size: size}
	magic := make([]byte, 4)
	n, err := io.ReadFull(r, magic)
	if err != nil && size >= int64(len(magic)) {
		return ispec.Descriptor{}, hideEOF(err)
	}
	switch magic = magic[:n]; {
	case bytes.HasPrefix(magic, []byte(gzipMagic)):
		d.MediaType = ispec.MediaTypeImageLayerGzip
	case bytes.HasPrefix(magic, []byte(zstdMagic)):
		d.MediaType = ispec.MediaTypeImageLayerZstd
	}
	if d.MediaType != ispec.MediaTypeImageLayer {
		d.Digest, err = digest.FromReader(io.MultiReader(bytes.NewReader(magic), r))
		if err != nil {
			return ispec.Descriptor{}, err
		}
	}
	a.at[d.Digest] = archiveMember{name: name}
	return d, nil
}
