package transport

import (
	"context"
	"fmt"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/reference"
)

// Source is one image, or all that a place has, opened for reading.
type Source interface {
	// Resolve gives the index or manifest that the reference names: ErrNotFound if there is none,
	// ErrAmbiguous if the reference does not say which of several.
	Resolve(ctx context.Context) (ispec.Descriptor, error)
	// Open gives the content of d, which has d.Size bytes but is not proved. Several may be open at
	// once.
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
	// List gives everything that the place has, in its order.
	List(ctx context.Context) ([]Named, error)
	// Close closes the place.
	Close() error
}

// Named is one image of a place.
type Named struct {
	Name       string // as the place has it; "" if it has none
	Descriptor ispec.Descriptor
}

// Open opens the place that ref names. It gives ErrUnsupported for a registry, which is package
// distribution's.
func Open(ctx context.Context, ref reference.Ref) (Source, error) {
	var src Source
	var err error
	switch ref.Transport {
	case reference.OCI:
		src, err = OpenLayout(ref)
	case reference.OCIArchive:
		src, err = OpenLayoutArchive(ctx, ref)
	case reference.DockerArchive:
		src, err = OpenDockerArchive(ctx, ref)
	case reference.Dir:
		src, err = OpenDirectory(ref)
	default:
		err = fmt.Errorf("%w: %q", ErrUnsupported, ref.Transport)
	}
	if err != nil {
		return nil, failed("open", ref.String(), err)
	}
	return src, nil
}
