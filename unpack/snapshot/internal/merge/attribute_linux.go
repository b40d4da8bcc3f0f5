package merge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// IDs turn the ids that files have in the layers into those that they get. The zero value leaves them.
type IDs struct {
	UIDs, GIDs []unpack.IDMap
}

// none tells whether the ids stay as they are.
func (i IDs) none() bool { return i.UIDs == nil && i.GIDs == nil }

// of maps the owner of a file. An id that is in no range gives unpack.ErrOwner.
func (i IDs) of(uid, gid uint32) (int, int, error) {
	u, okU := unpack.DiskID(i.UIDs, uid)
	g, okG := unpack.DiskID(i.GIDs, gid)
	if !okU || !okG {
		return 0, 0, fmt.Errorf("%w: owner %d:%d is in no range of the id maps; widen them", unpack.ErrOwner, uid, gid)
	}
	return int(u), int(g), nil
}

// xattr is an extended attribute; Value is raw.
type xattr struct{ name, value string }

// xattrReader reads extended attributes into one buffer.
type xattrReader struct {
	buf []byte
}

// maxXattr is the kernel's own limit on the list of names, and on a value (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const maxXattr = 64 << 10

// read gives the attributes of the file at path, sorted by name, without those of overlayfs and of the host.
func (r *xattrReader) read(path string) ([]xattr, error) {
	if r.buf == nil {
		r.buf = make([]byte, maxXattr)
	}
	n, err := unix.Listxattr(path, r.buf)
	if err == unix.ENOTSUP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []xattr
	names := strings.Split(strings.TrimSuffix(string(r.buf[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if name == "" || notCopied(name) {
			continue
		}
		m, err := unix.Getxattr(path, name, r.buf)
		if err != nil {
			return nil, fmt.Errorf("xattr %q: %w", name, err)
		}
		list = append(list, xattr{name, string(r.buf[:m])})
	}
	return list, nil
}

// notCopied tells of attributes that belong to the host, to overlayfs, or to the file system: XFS shows ACLs a second
// time, in a form of its own.
func notCopied(name string) bool {
	return name == "security.selinux" || strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") ||
		strings.HasPrefix(name, "trusted.SGI_ACL_")
}

// Xattrs gives name and value of the extended attributes, sorted by name, without those of overlayfs and of the host.
func (f *File) Xattrs() ([][2]string, error) {
	var r xattrReader
	list, err := r.read(openfd.Path(f.FD))
	var out [][2]string
	for _, x := range list {
		out = append(out, [2]string{x.name, x.value})
	}
	return out, err
}

// mapped gives the value that an attribute has where ids are mapped; ok is false for one that means nothing there.
func (i IDs) mapped(x xattr) (value string, ok bool) {
	switch {
	case i.none():
		return x.value, true
	case x.name == "security.capability":
		return i.capability(x.value)
	case x.name == "system.posix_acl_access", x.name == "system.posix_acl_default":
		return i.acl(x.value)
	}
	return x.value, true
}

// capability binds a file's capabilities to the user namespace whose root is the mapped id 0: those of the
// older revision count only outside of user namespaces (capabilities(7), namespaced file capabilities).
func (i IDs) capability(value string) (string, bool) {
	root, _, ok := unpack.DecodeCapability(value)
	if !ok {
		return value, true // the kernel will say what is wrong with it
	}
	id, ok := unpack.DiskID(i.UIDs, root)
	return unpack.CapabilityFor(value, id), ok
}

// acl maps the ids in an ACL.
func (i IDs) acl(value string) (string, bool) {
	to := func(m []unpack.IDMap) func(uint32) (uint32, error) {
		return func(id uint32) (uint32, error) {
			disk, ok := unpack.DiskID(m, id)
			if !ok {
				return 0, unpack.ErrOwner
			}
			return disk, nil
		}
	}
	mapped, err := unpack.MapACL(value, to(i.UIDs), to(i.GIDs))
	if errors.Is(err, unpack.ErrACL) {
		return value, true // the kernel will say what is wrong with it
	}
	return mapped, err == nil
}

// AttributesTo gives an open file or directory the attributes of f.
func (f *File) AttributesTo(fd int, ids IDs) error {
	c := &copier{o: Options{IDs: ids}}
	return c.attributes(openfd.Path(f.FD), &f.Stat, fd)
}

// attributes gives the open file fd those of the one at path. The order matters: a change of the owner
// clears set-id bits and capabilities, and the times come last.
func (c *copier) attributes(path string, st *unix.Stat_t, fd int) error {
	uid, gid, err := c.o.IDs.of(st.Uid, st.Gid)
	if err != nil {
		return err
	}
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return ownerError(uid, gid, err)
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err != nil {
		return err
	}
	if err := c.xattrs(path, openfd.Path(fd)); err != nil {
		return err
	}
	ts := [2]unix.Timespec{st.Mtim, st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, openfd.Path(fd), ts[:], 0)
}

// xattrs copies the extended attributes. What the file system of the copy does not take, or this user must not set, is
// counted and left out, as when a layer is unpacked there.
func (c *copier) xattrs(from, to string) error {
	list, err := c.xattrReader.read(from)
	if err != nil {
		return err
	}
	for _, x := range list {
		value, ok := c.o.IDs.mapped(x)
		if ok {
			err = unix.Setxattr(to, x.name, []byte(value), 0)
		}
		switch {
		case !ok, err == unix.ENOTSUP, err == unix.EPERM:
			c.result.LostXattrs++
		case err != nil:
			return fmt.Errorf("set xattr %q: %w", x.name, err)
		}
	}
	return nil
}

func ownerError(uid, gid int, err error) error {
	if err == unix.EPERM || err == unix.EINVAL {
		return fmt.Errorf("%w: this user must not give files to %d:%d: %w", unpack.ErrOwner, uid, gid, err)
	}
	return err
}
