package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// containerdName is where containerd and docker save put the whole name of an image, when they have
// put only its tag into the annotation of image-spec.
const containerdName = "io.containerd.image.name"

// Layout is an OCI image layout, in a directory, in a tar, or elsewhere.
type Layout struct {
	from  layoutFiles
	ref   reference.Ref
	index *layout.Index
}

// OpenLayout opens the directory of an oci: reference.
func OpenLayout(ref reference.Ref) (*Layout, error) {
	dir, err := layout.OpenDir(ref.Path)
	if err != nil {
		return nil, err
	}
	return newLayout(context.Background(), localLayout{dirFiles{dir}}, ref)
}

// OpenLayoutArchive opens the tar of an oci-archive: reference.
func OpenLayoutArchive(ctx context.Context, ref reference.Ref) (*Layout, error) {
	t, err := openTar(ctx, ref.Path)
	if err != nil {
		return nil, err
	}
	return newLayout(ctx, localLayout{t}, ref) // closes t if it fails
}

func newLayout(ctx context.Context, from layoutFiles, ref reference.Ref) (*Layout, error) {
	l := &Layout{from: from, ref: ref}
	if err := l.read(ctx); err != nil {
		from.close()
		return nil, err
	}
	return l, nil
}

func (l *Layout) read(ctx context.Context) error {
	marker, err := l.from.document(ctx, ispec.ImageLayoutFile, layout.MaxMarkerSize)
	if errors.Is(err, fs.ErrNotExist) { // of a server that lacks it nobody has said that it is a layout
		return &Error{Op: "read", Subject: ispec.ImageLayoutFile, Clause: spec.LayoutFiles, Err: fmt.Errorf("%w: %w", ErrNotLayout, err)}
	}
	if err != nil {
		return err
	}
	if err := layout.CheckMarker(marker); err != nil {
		return err
	}
	raw, err := l.from.document(ctx, ispec.ImageIndexFile, image.MaxManifestSize)
	if err != nil {
		return err
	}
	l.index, err = layout.DecodeIndex(raw)
	return err
}

// Close implements Source.
func (l *Layout) Close() error { return l.from.close() }

// List implements Source.
func (l *Layout) List(context.Context) ([]Named, error) {
	var list []Named
	for _, d := range l.index.Entries() {
		name := d.Annotations[containerdName]
		if name == "" {
			name = d.Annotations[ispec.AnnotationRefName]
		}
		list = append(list, Named{name, layout.Unnamed(d)})
	}
	return list, nil
}

// Resolve implements Source. A digest need not be in index.json: any index or manifest of the layout
// can be named by it.
func (l *Layout) Resolve(ctx context.Context) (ispec.Descriptor, error) {
	d, err := l.resolve(ctx)
	if err != nil {
		return ispec.Descriptor{}, failed("resolve", l.ref.String(), err)
	}
	return d, nil
}

func (l *Layout) resolve(ctx context.Context) (ispec.Descriptor, error) {
	if l.ref.Digest != "" {
		if d, ok := l.index.FindDigest(l.ref.Digest); ok {
			return d, nil
		}
		return l.byDigest(ctx, l.ref.Digest)
	}
	list, err := l.List(ctx)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	if l.ref.Tag == "" || strings.HasPrefix(l.ref.Tag, "@") {
		return pick(list, l.ref.Tag)
	}
	if d, ok, err := l.index.Find(l.ref.Tag); ok || err != nil {
		return d, err
	}
	return byName(list, l.ref.Tag)
}

// byDigest describes a blob that is only known by its digest. It is read to learn its media type, so
// it is proved too.
func (l *Layout) byDigest(ctx context.Context, want digest.Digest) (ispec.Descriptor, error) {
	raw, err := l.from.document(ctx, layout.BlobPath(want), image.MaxManifestSize)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err == nil {
		err = image.VerifyBytes(raw, want, int64(len(raw)))
	}
	if err != nil {
		return ispec.Descriptor{}, err
	}
	mt, err := image.DetectMediaType(raw)
	return ispec.Descriptor{MediaType: mt, Digest: want, Size: int64(len(raw))}, err
}

// pick chooses by position ("@2"), or the only one.
func pick(list []Named, position string) (ispec.Descriptor, error) {
	if n, ok := strings.CutPrefix(position, "@"); ok {
		i, err := strconv.Atoi(n)
		if err != nil || i < 0 || i >= len(list) {
			return ispec.Descriptor{}, fmt.Errorf("%w: no image at position %s of %d", ErrNotFound, n, len(list))
		}
		return list[i].Descriptor, nil
	}
	if len(list) == 0 {
		return ispec.Descriptor{}, fmt.Errorf("%w: no image in it", ErrNotFound)
	}
	for _, n := range list[1:] {
		if n.Descriptor.Digest != list[0].Descriptor.Digest {
			return ispec.Descriptor{}, fmt.Errorf("%w: it has %d images, name one of %s", ErrAmbiguous, len(list), names(list))
		}
	}
	return list[0].Descriptor, nil
}

// byName finds an image by its name as written, or by the normal form of it.
func byName(list []Named, name string) (ispec.Descriptor, error) {
	for _, want := range [...]string{name, normal(name)} {
		for _, n := range list {
			if n.Name != "" && (n.Name == want || normal(n.Name) == want) {
				return n.Descriptor, nil
			}
		}
	}
	return ispec.Descriptor{}, fmt.Errorf("%w: it has %s", ErrNotFound, names(list))
}

// normal gives the normal form of a name in a registry; others stay as they are.
func normal(name string) string {
	if r, err := reference.Parse(name); err == nil {
		return r.String()
	}
	return name
}

// names lists what there is, for an error text.
func names(list []Named) string {
	const limit = 10
	var out []string
	for i, n := range list {
		if i == limit {
			out = append(out, "...")
			break
		}
		name := n.Name
		if name == "" {
			name = "@" + strconv.Itoa(i)
		}
		out = append(out, fmt.Sprintf("%.100q", name))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// Open implements Source. Content that is embedded in its descriptor need not be in the layout.
func (l *Layout) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := image.ValidateDigest(d.Digest); err != nil {
		return nil, failed("open", string(d.Digest), err)
	}
	return l.from.blob(ctx, d)
}
