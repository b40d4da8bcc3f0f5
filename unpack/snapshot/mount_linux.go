package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/overlay"
)

// MountOptions describe an overlay mount.
type MountOptions struct {
	Layers []string // directories as Ensure gives them, base first; at least one
	// Upper and Work take the changes. They must be on one file system, Work empty. Both are ""
	// for a mount that only shows the layers. An empty Upper is given the attributes of the
	// topmost layer's root, since the root of the mount is shown with its attributes.
	Upper, Work string
	// Top, if not "", is an Upper of before to be shown above the layers, which is not written to; it holds ids of the
	// host already.
	Top       string
	ReadOnly  bool
	UserXattr bool // the layers were unpacked with UserXattr; needed in a user namespace
	// Scratch is an existing empty directory for kernels before 6.5, which take a long list of layers only
	// through mount(2), and so at a place in the mount namespace; it is detached again at once.
	Scratch string
	// Options are further options of overlayfs, "name" or "name=value", such as "volatile".
	Options []string
	// UIDMap and GIDMap show the layers' files with the ids of the host that they give for those of the image,
	// for a container in a user namespace with these maps; both or neither. The layers stay as they are, and Upper
	// holds ids of the host. It needs Linux 5.19, and privileges over the file system of the layers.
	UIDMap, GIDMap []unpack.IDMap
}

// Mount makes an overlay mount that is attached nowhere: as long as the file, or what it was attached
// to with move_mount(2), is open, the mount exists, and then it is gone. Every file operation of
// the *at kind works on it unattached. Errors are *Error, with ErrOverlay where no such mount is to
// be had at all and Copy can serve.
func Mount(_ context.Context, o MountOptions) (*os.File, error) {
	if len(o.Layers) == 0 || (o.Upper == "") != (o.Work == "") || (o.UIDMap == nil) != (o.GIDMap == nil) {
		return nil, &Error{Op: "mount", Err: errors.New("layers, upper with work or neither, and both maps or neither are needed")}
	}
	f, err := overlay.Mount(overlay.Options(o))
	if err == nil {
		return f, nil
	}
	if overlay.Unavailable(err) {
		err = fmt.Errorf("%w: %w", ErrOverlay, err)
	}
	return nil, &Error{Op: "mount", Subject: o.Layers[len(o.Layers)-1], Err: err}
}

// Attach attaches a detached mount at a directory of the caller's mount namespace.
func Attach(f *os.File, dir string) error {
	if err := unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &Error{Op: "attach", Subject: dir, Err: err}
	}
	return nil
}
