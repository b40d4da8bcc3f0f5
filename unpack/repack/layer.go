package repack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Options direct how a layer is written.
type Options struct {
	Compression image.Compression // "" is gzip
	// Level is as gzip's (1 to 9) or zstd's (1 to 22); 0 is the default of either (6, 3).
	Level int
	// Docker gives the layer a media type of Docker's instead of OCI's, which are the same in effect.
	Docker bool
	// Epoch, if not nil, is what later modification times become: SOURCE_DATE_EPOCH.
	Epoch *time.Time
}

// Layer is a layer that was written.
type Layer struct {
	image.Layer
	Entries int
	Bytes   int64 // of the tar
}

// Write writes the layer to w, with the content of files read from dir, the root file system that the
// plan's second tree was read from. Digest, size and DiffID are those of what was written. After an
// error that is worthless. Errors are *Error with ErrChanged, ErrEntry, or what the kernel said.
func (p *Plan) Write(ctx context.Context, dir *os.File, w io.Writer, o Options) (Layer, error) {
	if o.Compression == "" {
		o.Compression = image.Gzip
	}
	blob := &sums{w: w, sum: digest.SHA256.Digester()}
	z, err := compress(blob, o.Compression, o.Level)
	if err != nil {
		return Layer{}, &Error{Op: "compress", Err: err}
	}
	plain := &sums{w: z, sum: digest.SHA256.Digester()}
	err = p.archive(ctx, dir, plain, o.Epoch)
	if cerr := z.Close(); cerr != nil && (err == nil || errors.Is(err, errWriter)) {
		err = &Error{Op: "write", Err: cerr}
	}
	if err != nil {
		return Layer{}, err
	}
	return Layer{
		Layer: image.Layer{
			Descriptor: ispec.Descriptor{MediaType: mediaType(o), Digest: blob.sum.Digest(), Size: blob.n},
			DiffID:     plain.sum.Digest(),
		},
		Entries: len(p.steps), Bytes: plain.n,
	}, nil
}

// archive writes the tar.
func (p *Plan) archive(ctx context.Context, dir *os.File, w io.Writer, epoch *time.Time) error {
	tw := tar.NewWriter(w)
	files, err := openFiles(dir)
	if err != nil {
		return &Error{Op: "open", Err: err}
	}
	defer files.close()
	for i := range p.steps {
		s := &p.steps[i]
		if err := context.Cause(ctx); err != nil {
			return &Error{Op: "write", Subject: s.path, Err: err}
		}
		h, err := s.header(epoch)
		if err == nil {
			err = tw.WriteHeader(h)
			if errors.Is(err, tar.ErrHeader) {
				err = fmt.Errorf("%w: %w", ErrEntry, err)
			}
		}
		if err != nil {
			return &Error{Op: "write", Subject: s.path, Clause: spec.LayerAttributes, Err: err}
		}
		if s.node == nil || s.node.Kind != unpack.Regular || s.target != "" {
			continue
		}
		if err := files.copy(ctx, tw, s.path, s.node); err != nil {
			return &Error{Op: "read", Subject: s.path, Err: err}
		}
	}
	if err := tw.Close(); err != nil {
		return &Error{Op: "write", Err: err}
	}
	return nil
}

// sums hashes and counts what is written to w.
type sums struct {
	w   io.Writer
	sum digest.Digester
	n   int64
}

func (s *sums) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Hash().Write(p[:n])
	s.n += int64(n)
	return n, err
}

func mediaType(o Options) string {
	switch o.Compression {
	case image.Uncompressed:
		if o.Docker {
			return image.DockerLayer
		}
		return ispec.MediaTypeImageLayer
	case image.Zstd:
		if o.Docker {
			return image.DockerLayerZstd
		}
		return ispec.MediaTypeImageLayerZstd
	}
	if o.Docker {
		return image.DockerLayerGzip
	}
	return ispec.MediaTypeImageLayerGzip
}
