package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
	"github.com/oci-pipeline/oci/unpack/snapshot"
)

// Seed is where the first content of a volume comes from.
type Seed struct {
	Root        *os.File // directory of a root file system; nil: the volume begins empty
	Destination string   // of the volume in it
	// UID and GID own a volume that begins empty.
	UID, GID int
	// UIDMap and GIDMap give ids that the root file system shows (ContainerID) to others (HostID) on disk, for a volume that is
	// mounted with a map; both or neither.
	UIDMap, GIDMap []unpack.IDMap
}

// modeEmpty is the mode of a volume that begins empty, as Docker has it.
const modeEmpty = 0o755

// Fill makes dir, which must be absent, a directory with the first content of a volume. When it fails, dir is
// not there. Links on the way to the destination are followed inside the root (openat2(2), RESOLVE_IN_ROOT); the content is
// copied as snapshot.Copy does.
func Fill(ctx context.Context, dir string, s Seed) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	err := fill(ctx, dir, s)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

func fill(ctx context.Context, dir string, s Seed) error {
	from, err := s.open()
	if err != nil {
		return err
	}
	if from == nil {
		uid, okU := unpack.DiskID(s.UIDMap, uint32(s.UID))
		gid, okG := unpack.DiskID(s.GIDMap, uint32(s.GID))
		if !okU || !okG {
			return fmt.Errorf("%w: %d:%d is in no range of the map of the mount", unpack.ErrOwner, s.UID, s.GID)
		}
		return errors.Join(os.Lchown(dir, int(uid), int(gid)), os.Chmod(dir, modeEmpty))
	}
	defer from.Close()
	// By its descriptor, and as "." in it: a name would be looked up again, and a link is not followed.
	open := openfd.Path(int(from.Fd())) + "/."
	_, err = snapshot.Copy(ctx, dir, snapshot.CopyOptions{Layers: []string{open}, UIDMap: s.UIDMap, GIDMap: s.GIDMap})
	return err
}

// open opens the directory at the destination; nil if there is none.
func (s *Seed) open() (*os.File, error) {
	if s.Root == nil {
		return nil, nil //nolint:nilnil // nothing to fill it with
	}
	fd, err := OpenIn(s.Root, s.Destination, unix.O_RDONLY|unix.O_DIRECTORY)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil //nolint:nilnil // the image has nothing there
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%w: the image has a file at %s, or on the way there", ErrDestination, s.Destination)
	}
	return fd, err
}

// OpenIn opens a path in a root directory, which no link and no ".." leads out of.
func OpenIn(root *os.File, path string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{
		Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.6, or an old seccomp profile
		return openSlow(root, path, flags)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openSlow is stricter: a link to an absolute path is an error.
func openSlow(root *os.File, path string, flags int) (*os.File, error) {
	r, err := os.OpenRoot(openfd.Path(int(root.Fd())))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	name := strings.Trim(path, "/")
	if name == "" {
		name = "."
	}
	return r.OpenFile(name, flags, 0)
}
