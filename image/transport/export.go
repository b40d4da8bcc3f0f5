package transport

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// Blobs is where Export takes content from: a store. Nothing that it gives is trusted.
type Blobs interface {
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
}

// ExportOptions of Export.
type ExportOptions struct {
	Name     string          // the image's name in the new place; "" means that of the reference
	Platform ispec.Platform  // what to choose from an index; zero means this machine's
	All      bool            // export an index with all its images that are there; not for docker-archive
	Events   image.EventFunc // may be nil
	// Also are manifests that refer to the image, to be entries without a name beside it; for
	// layouts and their archives alone.
	Also []ispec.Descriptor
	// Output is where an archive goes whose path is "-".
	Output io.Writer
}

// Item is one image to be exported, with the name that it gets; "" is none.
type Item struct {
	Name       string
	Descriptor ispec.Descriptor
}

// Export is ExportAll for one image, whose name may be that of the reference.
func Export(ctx context.Context, blobs Blobs, d ispec.Descriptor, dest reference.Ref, o ExportOptions) error {
	if o.Name == "" {
		o.Name = dest.Tag
	}
	return ExportAll(ctx, blobs, []Item{{o.Name, d}}, dest, o)
}

// ExportAll writes images to the place that dest names: into an OCI layout (which may be there
// already and have other images), or as a new oci-archive or docker-archive file or a new directory
// of skopeo's kind, which takes the place of an old one once it is complete. A directory holds one
// image. Every byte is proved on the way; if that fails the place is as before, except that what went
// to Output cannot be called back: it lacks its end then.
func ExportAll(ctx context.Context, blobs Blobs, items []Item, dest reference.Ref, o ExportOptions) error {
	x := &exporter{blobs: blobs, o: o, name: dest.String()}
	x.want = o.Platform
	if o.Platform.OS == "" && o.Platform.Architecture == "" {
		x.want = image.HostPlatform()
	}
	var write func(context.Context, []Item, reference.Ref) error
	switch dest.Transport {
	case reference.OCI:
		write = x.toLayout
	case reference.OCIArchive:
		write = x.toLayoutArchive
	case reference.DockerArchive:
		write, x.o.All = x.toDockerArchive, false
	case reference.Dir:
		write = x.toDirectory
	default:
		return failed("export", dest.String(), fmt.Errorf("%w: %q", ErrUnsupported, dest.Transport))
	}
	layouts := dest.Transport == reference.OCI || dest.Transport == reference.OCIArchive
	if len(o.Also) > 0 && !layouts || len(items) > 1 && dest.Transport == reference.Dir {
		return failed("export", dest.String(), fmt.Errorf("%w: it holds one image, and nothing beside it", ErrUnsupported))
	}
	if !x.o.All {
		chosen := make([]Item, len(items))
		for i, item := range items {
			d, err := x.choose(ctx, item.Descriptor, 0)
			if err != nil {
				return failed("export", dest.String(), err)
			}
			chosen[i] = Item{item.Name, d}
		}
		items = chosen
	}
	return failed("export", dest.String(), write(ctx, items, dest))
}

type exporter struct {
	blobs Blobs
	o     ExportOptions
	want  ispec.Platform
	name  string
}

// read gives a document, proved.
func (x *exporter) read(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, image.TooLarge("export", d, limit)
	}
	r, err := x.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return image.ReadAll(r, d, limit)
}

// choose follows indexes to the manifest for the platform.
func (x *exporter) choose(ctx context.Context, d ispec.Descriptor, depth int) (ispec.Descriptor, error) {
	if !image.IsIndex(d.MediaType) {
		return d, nil
	}
	if depth >= image.MaxIndexDepth {
		return d, fmt.Errorf("%w: indexes more than %d deep", image.ErrMalformed, image.MaxIndexDepth)
	}
	raw, err := x.read(ctx, d, image.MaxManifestSize)
	if err != nil {
		return d, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return d, err
	}
	next, err := image.Select(idx, x.want)
	if err != nil {
		return d, err
	}
	return x.choose(ctx, next, depth+1)
}

// collect lists the images, what goes beside them, and everything below, each once, parents first.
// Manifests that are absent from an index are left out.
func (x *exporter) collect(ctx context.Context, items []Item) ([]ispec.Descriptor, error) {
	var list []ispec.Descriptor
	seen := make(map[digest.Digest]bool)
	var walk func(d ispec.Descriptor, depth int) error
	walk = func(d ispec.Descriptor, depth int) error {
		if seen[d.Digest] {
			return nil
		}
		if depth > image.MaxIndexDepth {
			return fmt.Errorf("%w: indexes more than %d deep", image.ErrMalformed, image.MaxIndexDepth)
		}
		seen[d.Digest] = true
		if !image.IsIndex(d.MediaType) && !image.IsManifest(d.MediaType) {
			list = append(list, d)
			return nil
		}
		raw, err := x.read(ctx, d, image.MaxManifestSize)
		if errors.Is(err, ErrNotFound) && depth > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		list = append(list, d)
		children, err := below(raw, d.MediaType)
		if err != nil {
			return err
		}
		for _, c := range children {
			if err := walk(c, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	for _, item := range items {
		if err := walk(item.Descriptor, 0); err != nil {
			return nil, err
		}
	}
	for _, also := range x.o.Also {
		if err := walk(also, 0); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// enter makes the entries of a layout's index.json.
func (x *exporter) enter(index *layout.Index, items []Item) error {
	for _, also := range x.o.Also {
		if _, there := index.FindDigest(also.Digest); there {
			continue
		}
		if err := index.Add("", layout.Unnamed(also)); err != nil {
			return err
		}
	}
	for _, item := range items {
		if err := index.Add(item.Name, layout.Unnamed(item.Descriptor)); err != nil {
			return err
		}
	}
	return nil
}

// below gives what an index or manifest refers to.
func below(raw []byte, mediaType string) ([]ispec.Descriptor, error) {
	if image.IsIndex(mediaType) {
		idx, err := image.DecodeIndex(raw, mediaType)
		return idx.Manifests, err
	}
	m, err := image.DecodeManifest(raw, mediaType)
	return append([]ispec.Descriptor{m.Config}, m.Layers...), err
}

// blob writes the content of d to w, proved, and reports it.
func (x *exporter) blob(ctx context.Context, d ispec.Descriptor, w io.Writer) error {
	r, err := x.blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	v, err := image.NewVerifier(r, d)
	if err != nil {
		return err
	}
	return x.pump(ctx, d, w, v)
}

// pump copies r, which is or comes from the content of d, to w.
func (x *exporter) pump(ctx context.Context, d ispec.Descriptor, w io.Writer, r io.Reader) error {
	e := image.Event{Kind: image.EventStarted, Ref: x.name, Descriptor: d, Total: d.Size}
	x.o.Events.Emit(e)
	e.Kind = image.EventProgress
	buf := make([]byte, copyBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			e.Bytes += int64(n)
			x.o.Events.Emit(e)
		}
		if err == io.EOF { //nolint:errorlint // a Verifier gives it as it is, once all is proved
			break
		}
		if err != nil {
			return err
		}
	}
	e.Kind, e.Bytes = image.EventDone, d.Size
	x.o.Events.Emit(e)
	return nil
}
