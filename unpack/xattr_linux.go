package unpack

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// fileXattrs gives an open file or directory its xattrs, and keeps its owner in one where there is a
// single id. The ACLs of a directory are left for the end of the layer.
func (a *applier) fileXattrs(fd int, e *entry) error {
	if v := a.owners.kept(e.uid, e.gid); v != "" {
		if err := a.setOne(fd, e.path, xattr{OwnerXattr, v}); err != nil {
			return err
		}
	}
	return a.setXattrs(fd, e)
}

// setXattrs sets the xattrs of an entry, those that may come from an image.
func (a *applier) setXattrs(fd int, e *entry) error {
	for _, x := range e.xattrs {
		if reason := skipXattr(x.name); reason != "" {
			a.leaveOut(e.path, x.name, reason)
			continue
		}
		if e.kind == directory && (x.name == aclDefault || x.name == aclAccess) {
			continue
		}
		if err := a.setOne(fd, e.path, x); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) leaveOut(path, name, reason string) {
	a.warn.once("skip "+name+reason, path, "an xattr is left out: "+reason, "xattr", name)
}

// setOne sets an xattr. What the file system or the privileges do not allow is left out with a
// warning.
func (a *applier) setOne(fd int, path string, x xattr) (err error) {
	value, skip := x.value, ""
	switch x.name {
	case aclAccess, aclDefault:
		value, skip, err = a.owners.translateACL(value)
	case capabilityXattr:
		value, skip = a.owners.translateCapability(value)
	}
	if err != nil {
		return fmt.Errorf("set xattr %q: %w", x.name, err)
	}
	if skip == "" {
		switch err = setXattr(fd, x.name, value); {
		case err == nil:
			return nil
		case err == unix.EACCES && x.name == OwnerXattr:
			// A file's owner may set it only on what he may write.
			if err = setReadOnly(fd, x.name, value); err == nil {
				return nil
			}
		case err == unix.EINVAL && (x.name == aclAccess || x.name == aclDefault):
			if owner := aclError(value); owner != nil {
				return fmt.Errorf("set xattr %q: %w", x.name, owner)
			}
		case err == unix.EINVAL && x.name == capabilityXattr:
			skip = "the kernel takes it for malformed, or for that of another user namespace"
		}
	}
	switch {
	case skip != "":
		a.leaveOut(path, x.name, skip)
		a.leftOut("xattr " + x.name)
	case isErrno(err, unix.ENOTSUP, unix.EPERM):
		a.warn.once(err.Error()+x.name, path, "an xattr is left out", "xattr", x.name, "error", err)
		a.leftOut("xattr " + x.name)
	default:
		return fmt.Errorf("set xattr %q: %w", x.name, err)
	}
	return nil
}

// aclError finds the id of an ACL that the user namespace does not have: nil if it has all.
func aclError(value string) error {
	list, _ := decodeACL(value)
	for _, e := range list {
		kind := map[uint16]string{aclUser: "uid", aclGroup: "gid"}[e.tag]
		if kind == "" {
			continue
		}
		m, err := namespaceMap(kind)
		if err != nil {
			continue
		}
		if _, ok := DiskID(m, e.id); !ok {
			return &OwnerError{Kind: kind, ID: e.id, Disk: e.id, Map: m, Userns: true, Err: unix.EINVAL}
		}
	}
	return nil
}

// setReadOnly sets an xattr on a file without write permission.
func setReadOnly(fd int, name, value string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777|0o200); err != nil {
		return err
	}
	err := setXattr(fd, name, value)
	return errors.Join(err, unix.Fchmod(fd, st.Mode&0o7777))
}

// leftOut tells who asked what is not on disk.
func (a *applier) leftOut(what string) {
	if a.o.LeftOut != nil {
		a.o.LeftOut(what)
	}
}

// setXattr sets an xattr on a descriptor, O_PATH ones included.
func setXattr(fd int, name, value string) error {
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	if err == unix.EBADF {
		err = unix.Setxattr(openfd.Path(fd), name, []byte(value), 0)
	}
	return err
}

// suspendACL takes the default ACL, which a lower layer gave it, from a directory, and notes it for the end
// of this layer: what the layer makes in the directory must not inherit it.
func (a *applier) suspendACL(fd int, at *dirAttr) error {
	if !a.root.acls {
		return nil
	}
	var buf [64 << 10]byte // the kernel's own limit
	n, err := unix.Getxattr(openfd.Path(fd), aclDefault, buf[:])
	if isErrno(err, unix.ENODATA, unix.ENOTSUP) {
		return nil
	}
	if err == nil {
		err = unix.Removexattr(openfd.Path(fd), aclDefault)
	}
	if err != nil {
		return fmt.Errorf("suspend the default ACL: %w", err)
	}
	at.suspended = string(buf[:n])
	return nil
}

// clearXattrs removes the xattrs that an image, or this package, can have given to an open directory.
func clearXattrs(fd int) error {
	buf := make([]byte, 4096)
	n, err := unix.Flistxattr(fd, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, 64<<10) // the kernel's own limit
		n, err = unix.Flistxattr(fd, buf)
	}
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" || name != OwnerXattr && skipXattr(name) != "" {
			continue
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !isErrno(err, unix.ENODATA, unix.ENOTSUP, unix.EPERM) {
			return fmt.Errorf("remove xattr %q: %w", name, err)
		}
	}
	return nil
}
