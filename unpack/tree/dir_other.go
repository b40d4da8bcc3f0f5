//go:build !linux

package tree

import (
	"context"
	"errors"
	"os"

	"github.com/oci-pipeline/oci/unpack"
)

func ofDir(context.Context, *os.File, DirOptions) (*Tree, error) {
	return nil, &unpack.Error{Op: "read tree", Err: errors.ErrUnsupported}
}
