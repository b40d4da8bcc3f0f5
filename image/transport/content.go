package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// openSized opens the file of d, and refuses one of another size before anything is read of it.
func openSized(from files, name string, d ispec.Descriptor) (io.ReadCloser, error) {
	r, size, err := from.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if int64(len(d.Data)) == d.Size && d.Size > 0 {
			return io.NopCloser(bytes.NewReader(d.Data)), nil
		}
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, failed("open", d.Digest.String(), err)
	}
	if size != d.Size {
		r.Close()
		err := fmt.Errorf("%w: %d bytes there, %d announced", image.ErrSizeMismatch, size, d.Size)
		return nil, &Error{Op: "open", Subject: d.Digest.String(), Clause: spec.DescriptorSize, Err: err}
	}
	return r, nil
}
