package tree

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/oci-pipeline/oci/unpack"
)

// DirOptions direct OfDir.
type DirOptions struct {
	Content bool // hash the content of files
	// UIDMap and GIDMap are those that the directory was unpacked with: owners in the tree are
	// those of the image. An owner outside of them stays as it is on disk.
	UIDMap, GIDMap []unpack.IDMap
	// SingleID says that the directory was unpacked with one id for all: owners are taken from the xattr
	// user.rootlesscontainers, which is not in the tree then, and are 0:0 without.
	SingleID bool
	// Entries bounds the paths; 0 is the default of unpack.Limits, negative none.
	Entries int64
	Logger  *slog.Logger // receives warnings; nil discards them
}

// OfDir reads the tree in an open directory, through descriptors only. No symbolic link is followed, no
// mount is crossed: of a directory that something is mounted on, what is mounted is seen as an
// empty directory, with a warning. Xattrs that belong to the host or to overlayfs are left out.
func OfDir(ctx context.Context, dir *os.File, o DirOptions) (*Tree, error) {
	return nil, errors.ErrUnsupported
}
