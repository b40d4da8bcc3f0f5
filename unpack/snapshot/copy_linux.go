package snapshot

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// CopyOptions describe a copy of a stack of layers.
type CopyOptions struct {
	Layers []string // directories as Ensure gives them, base first; at least one
	// UIDMap and GIDMap give the files to ids of the host in place of those of the image, for a container in a user
	// namespace with these maps; file capabilities are bound to its root. An id outside is unpack.ErrOwner. Both or neither.
	UIDMap, GIDMap []unpack.IDMap
	Unshared       bool // copy every byte, even where the file system could share blocks
}

// Copied says what Copy made.
type Copied struct {
	Entries    int64 // files of all kinds, without the root
	Shared     int64 // bytes of files that share their blocks with the layers
	Copied     int64 // bytes that were written, without holes
	LostXattrs int64 // extended attributes that the file system did not take or this user must not set
}

// Copy makes dir, which must be absent or an empty directory, a copy of what an overlay mount of the layers
// would show: the same names, types, owners, modes, times, links, holes, extended attributes and content,
// with the attributes of the topmost layer's root. Blocks are shared with the layers where the file system can.
// On failure, or when ctx ends, dir is as it was. Errors are *Error; a full disk is syscall.ENOSPC or EDQUOT below it.
func Copy(ctx context.Context, dir string, o CopyOptions) (_ Copied, err error) {
	if len(o.Layers) == 0 || (o.UIDMap == nil) != (o.GIDMap == nil) {
		return Copied{}, &Error{Op: "copy", Subject: dir, Err: errors.New("layers, and both maps or neither, are needed")}
	}
	dst, made, err := emptyDir(dir)
	if err != nil {
		return Copied{}, &Error{Op: "copy", Subject: dir, Err: err}
	}
	defer dst.Close()
	res, err := merge.Tree(ctx, o.Layers, dst, merge.Options{IDs: merge.IDs{UIDs: o.UIDMap, GIDs: o.GIDMap}, Share: !o.Unshared})
	if err == nil {
		return Copied(res), nil
	}
	err = &Error{Op: "copy", Subject: dir, Err: err}
	if made {
		return Copied{}, errors.Join(err, removeAll(dir))
	}
	return Copied{}, errors.Join(err, emptyAgain(dst))
}

// emptyDir opens dir, which is absent or an empty directory, and tells whether it made it.
func emptyDir(dir string) (_ *os.File, made bool, err error) {
	err = os.Mkdir(dir, 0o700)
	made = err == nil
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, made, err
	}
	if names, _ := f.Readdirnames(1); len(names) > 0 { // an error is that of an empty directory, io.EOF
		f.Close()
		return nil, false, unpack.ErrNotEmpty
	}
	return f, made, nil
}

// emptyAgain removes what is in an open directory.
func emptyAgain(dir *os.File) error {
	root, err := unpack.RootOf(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveContents()
}
