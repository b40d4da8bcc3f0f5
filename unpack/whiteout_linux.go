package unpack

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// isWhiteout tells whether a file is what overlayfs takes for a whiteout.
func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// applyWhiteout hides what the layers below have at name in d. What this layer has there stays,
// also if it came earlier in the tar: a whiteout means the layers below (layer.md, Whiteouts).
func (a *applier) applyWhiteout(d *dir, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && errors.Is(a.root.spelled(d, name), ErrNames) {
		err = unix.ENOENT // what is there is not what is meant
	}
	isDir := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case err == unix.ENOENT && a.form == Overlay:
		if a.hasLink(join(d.path, name)) || a.belowOpaque(join(d.path, name)) {
			return nil
		}
		return a.makeWhiteout(d, name)
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case !a.ours(d, name):
		_, err := a.clear(d, name)
		return err
	case !isDir:
		return nil
	}
	c, err := a.root.child(d, name)
	if err != nil {
		return err
	}
	if at := a.attrs[c.ino]; at != nil && at.implicit {
		if err := a.resetDir(c, at); err != nil { // its attributes were those of a lower layer
			return err
		}
		at.implicit = false
	}
	return a.applyOpaque(c)
}

func (a *applier) hasLink(path string) bool {
	_, ok := a.links.get(path)
	return ok
}

// makeWhiteout makes overlayfs's mark. The kernel lets user namespaces make it since Linux 5.8.
func (a *applier) makeWhiteout(d *dir, name string) error {
	err := unix.Mknodat(d.fd, name, unix.S_IFCHR, 0)
	if err == unix.EPERM {
		return fail("apply", join(d.path, name), spec.LayerWhiteout, ErrDevice, "whiteout device: %w; use the merged form", err)
	}
	if err != nil {
		return err
	}
	a.marked[d.path] = true
	fd, err := a.root.openMade(d, name, unix.S_IFCHR)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return setTimes(fd, unix.Timespec{})
}

// applyOpaque hides all that the layers below have in d.
func (a *applier) applyOpaque(d *dir) error {
	if a.form == Merged {
		return a.prune(d)
	}
	if d.path == "" {
		a.opaque = true
		return nil
	}
	return a.markOpaque(d)
}

// markOpaque sets overlayfs's mark on a directory.
func (a *applier) markOpaque(d *dir) error {
	if a.form != Overlay || a.opaques[d.path] {
		return nil
	}
	name := "trusted.overlay.opaque"
	if a.o.UserXattr {
		name = "user.overlay.opaque"
	}
	if err := setXattr(d.fd, name, "y"); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	a.opaques[d.path] = true
	return nil
}

// prune removes from d what this layer did not make, at any depth. Its directories are not cached:
// there may be more of them than descriptors. What it went through has nothing foreign in it from then on, so that
// a layer that says a thing twice has it done once.
func (a *applier) prune(d *dir) error {
	if a.pruned[d.ino] {
		return nil
	}
	names, err := list(d.fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !a.ours(d, name) {
			_, err = a.clear(d, name)
		} else {
			err = a.pruneBelow(d, name)
		}
		if err != nil {
			return err
		}
	}
	a.pruned[d.ino] = true
	return nil
}

// pruneBelow prunes name in d if it is a directory.
func (a *applier) pruneBelow(d *dir, name string) error {
	fd, err := a.root.openComponent(d.fd, name, unix.O_PATH|unix.O_DIRECTORY)
	if err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	c := &dir{fd: fd, ino: st.Ino, path: join(d.path, name)}
	if at := a.attrs[c.ino]; at != nil && at.implicit {
		if err := a.resetDir(c, at); err != nil {
			return err
		}
	}
	return a.prune(c)
}

// resetDir gives a directory that a lower layer made the attributes of one that no layer describes.
func (a *applier) resetDir(d *dir, at *dirAttr) error {
	if a.form != Merged {
		return nil
	}
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	uid, gid, err := a.owners.of(0, 0)
	if err != nil {
		return err
	}
	if err := chownError(0, 0, uid, gid, unix.Fchown(fd, uid, gid)); err != nil {
		return err
	}
	*at = dirAttr{path: at.path, own: at.own, mode: 0o755, chmod: true, implicit: at.implicit}
	return clearXattrs(fd)
}

// keepPlink keeps a file of AUFS's hardlink directory for the entries that link to it. A nameless file
// (O_TMPFILE) would do but for a layer that replaces the only link to it, and then makes another: what had a name
// and lost it gets none again.
func (a *applier) keepPlink(e *entry, p *payload) error {
	if e.kind != regular {
		return nil
	}
	const most = 1024 // descriptors; AUFS images are from before 2017 and have few
	if len(a.plinks) >= most {
		return fmt.Errorf("%w: more than %d files in %s", ErrLimit, most, plinkDir)
	}
	fd, err := a.reserve(fmt.Sprint(plinkDir, ".", len(a.reserved)))
	if err != nil {
		return err
	}
	if old, ok := a.plinks[e.path]; ok {
		unix.Close(old)
	}
	a.plinks[e.path] = fd
	if err := a.write(fd, e, p); err != nil {
		return err
	}
	return a.nameless(fd, e)
}

// reserve makes a file under a name that no layer can have. It has the name until the layer is done.
func (a *applier) reserve(name string) (int, error) {
	fd, err := unix.Openat(a.root.top.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err == nil {
		a.reserved = append(a.reserved, name)
		a.mine(&a.root.top, name, -1) // no whiteout of this layer means it
	}
	return fd, err
}

// release takes these names away.
func (a *applier) release() error {
	for _, name := range a.reserved {
		if err := unix.Unlinkat(a.root.top.fd, name, 0); err != nil {
			return err
		}
	}
	a.reserved = nil
	return nil
}

// linkPlink gives such a file a name.
func (a *applier) linkPlink(fd int, d *dir, name string) error {
	return a.linkOver(d, name, func() error {
		return unix.Linkat(unix.AT_FDCWD, openfd.Path(fd), d.fd, name, unix.AT_SYMLINK_FOLLOW)
	})
}
