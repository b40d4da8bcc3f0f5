package tree

import (
	"context"
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
	// AsIs gives what an image says nothing about too: all xattrs that this process may see, sizes of directories,
	// and [Node.Links].
	AsIs bool
	// Entries bounds the paths, and Depth the components of one; 0 is the default of unpack.Limits, negative none. Each
	// level costs a descriptor. What is deeper is not looked into: unpack.ErrLimit, see Failed.
	Entries int64
	Depth   int64
	// FileBytes bounds the bytes of a file, holes included; 0 is no bound. A larger one is unpack.ErrLimit, see Failed.
	FileBytes int64
	// Skip, if not nil, tells that a path is neither to be in the tree nor looked into.
	Skip func(path string) bool
	// Failed, if not nil, is told what cannot be read, or changes while it is: with nil OfDir goes on
	// without it. The path may be in the tree, but what is below it is not.
	Failed func(path string, err error) error
	Logger *slog.Logger // receives warnings; nil discards them
}

// OfDir reads the tree in an open directory, through descriptors only. No symbolic link is followed, no
// mount is crossed: what something is mounted on is seen without content, as an empty directory or a file
// without digest, with a warning and [Node.Mount]. A name that vanishes meanwhile was never there. Xattrs that belong to
// the host or to overlayfs are left out; ids in ACLs and file capabilities are those of the image, as owners are.
func OfDir(ctx context.Context, dir *os.File, o DirOptions) (*Tree, error) {
	limits := unpack.Limits{Entries: o.Entries, Depth: o.Depth}.WithDefaults()
	o.Entries, o.Depth = limits.Entries, limits.Depth
	return ofDir(ctx, dir, o)
}
