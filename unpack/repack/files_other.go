//go:build !linux

package repack

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/oci-pipeline/oci/unpack/tree"
)

// files reads root file systems on Linux only.
type files struct{}

func openFiles(*os.File) (*files, error) { return nil, errors.ErrUnsupported }

func (*files) close() {}

func (*files) copy(context.Context, io.Writer, string, *tree.Node) error {
	return errors.ErrUnsupported
}

func (*files) sum(context.Context, string, *tree.Node) (uint64, error) {
	return 0, errors.ErrUnsupported
}
