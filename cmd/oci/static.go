package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/transport"
)

// openStatic opens a layout that a plain file server has.
func openStatic(ctx context.Context, c *distribution.Client, ref reference.Ref) (transport.Source, error) {
	l, err := transport.OpenRemote(ctx, ref, fileServer{c, ref})
	if err != nil {
		return nil, err // not a nil *Layout in an interface that is not nil
	}
	return l, nil
}

// fileServer is a layout of a file server as package transport reads it.
type fileServer struct {
	c   *distribution.Client
	ref reference.Ref
}

// File implements transport.Remote.
func (f fileServer) File(ctx context.Context, name string, limit int64) ([]byte, error) {
	raw, err := f.c.LayoutFile(ctx, f.ref, name, limit)
	return raw, missing(err)
}

// Blob implements transport.Remote.
func (f fileServer) Blob(ctx context.Context, d ispec.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := f.c.Blob(ctx, f.ref, d, offset)
	return r, missing(err)
}

// Close implements transport.Remote.
func (f fileServer) Close() error { return nil } // the client is the process's

// missing lets what a server lacks be absent in the words of package transport too.
func missing(err error) error {
	if errors.Is(err, distribution.ErrNotFound) {
		return fmt.Errorf("%w: %w", transport.ErrNotFound, err)
	}
	return err
}

// writable refuses to write to a file server, which only gives.
func writable(p place) error {
	if p.stored == "" && p.ref.Static() {
		return usageErrorf(nil, "%s: a file server is read from only; write the layout to its directory (oci:DIR)", p)
	}
	return nil
}
