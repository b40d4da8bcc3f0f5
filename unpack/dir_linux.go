package unpack

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// dirAttr is what a directory gets when the layer is done.
type dirAttr struct {
	path     string
	mode     uint32
	chmod    bool
	mtime    unix.Timespec
	implicit bool // the layer has no entry for it
	own      bool // the layer has it, with an entry or without
	// acls are those of the entry, suspended is the default ACL that was on disk (with the ids there). What is
	// made in the directory before the layer's end must inherit neither, and chmod changes an access ACL.
	acls      []xattr
	suspended string
}

// placeDir makes a directory, or gives an existing one the attributes of the entry.
func (a *applier) placeDir(d *dir, name string, e *entry, hiding bool) error {
	fresh := true
	err := unix.Mkdirat(d.fd, name, e.mode&0o777|0o700)
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if fresh = st.Mode&unix.S_IFMT != unix.S_IFDIR; fresh {
			if hiding, err = a.clear(d, name); err != nil {
				return err
			}
			err = unix.Mkdirat(d.fd, name, e.mode&0o777|0o700)
		} else {
			err = a.root.spelled(d, name)
		}
	}
	if err != nil {
		return err
	}
	a.mine(d, name, -1)
	c, err := a.root.child(d, name)
	if err != nil {
		return err
	}
	if err := a.dirAttributes(d, name, c, e, fresh); err != nil {
		return err
	}
	if hiding {
		return a.markOpaque(c)
	}
	return nil
}

// applyRoot gives the root the attributes of its entry.
func (a *applier) applyRoot(e *entry) error {
	top := &a.root.top
	if err := a.setDirAttributes(top.fd, e, false); err != nil {
		return err
	}
	a.attrs[top.ino] = &dirAttr{path: "", mode: e.mode, chmod: true, mtime: timespec(e.mtime), acls: aclsOf(e)}
	return nil
}

// dirAttributes gives a directory its owner and xattrs now, mode and time at the end of the layer.
// A fresh one, made by this call, may have them already.
func (a *applier) dirAttributes(d *dir, name string, c *dir, e *entry, fresh bool) error {
	u, g, err := a.owners.of(e.uid, e.gid)
	if err != nil {
		return err
	}
	made := (e.mode&0o777 | 0o700) &^ a.umask
	if !fresh || len(e.xattrs) > 0 || d.setgid || u != a.owners.uid || g != a.owners.gid || a.owners.kept(e.uid, e.gid) != "" {
		fd, err := a.root.openComponent(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		err = a.setDirAttributes(fd, e, fresh)
		if err == nil && fresh && c.setgid { // inherited: what is made in it must not inherit it too
			err = unix.Fchmod(fd, made)
		}
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	a.attrs[c.ino] = &dirAttr{path: c.path, own: true, mode: e.mode, chmod: !fresh || made != e.mode, mtime: timespec(e.mtime), acls: aclsOf(e)}
	c.setgid = c.setgid && !fresh
	return nil
}

// setDirAttributes sets owner and xattrs. The entry's attributes replace those that there were.
func (a *applier) setDirAttributes(fd int, e *entry, fresh bool) error {
	u, g, err := a.owners.of(e.uid, e.gid)
	if err != nil {
		return err
	}
	if err := chownError(e.uid, e.gid, u, g, unix.Fchown(fd, u, g)); err != nil {
		return err
	}
	if !fresh {
		if err := clearXattrs(fd); err != nil {
			return err
		}
	}
	return a.fileXattrs(fd, e)
}

// finish gives directories their last attributes, deepest first: a mode may keep this process out
// of what is below.
func (a *applier) finish() error {
	a.root.trim()
	if err := a.release(); err != nil {
		return &Error{Op: "apply", Subject: plinkDir, Err: err}
	}
	list := make([]*dirAttr, 0, len(a.attrs))
	for _, at := range a.attrs {
		list = append(list, at)
	}
	slices.SortFunc(list, func(x, y *dirAttr) int {
		if c := strings.Count(y.path, "/") - strings.Count(x.path, "/"); c != 0 {
			return c
		}
		return strings.Compare(y.path, x.path) // the root last
	})
	for _, at := range list {
		if err := a.finishDir(at); err != nil {
			return &Error{Op: "apply", Subject: at.path, Err: err}
		}
		a.root.trim()
	}
	return nil
}

func (a *applier) finishDir(at *dirAttr) error {
	if at.path == "" {
		if err := a.lastAttributes(a.root.top.fd, at); err != nil {
			return err
		}
		return setTimes(a.root.top.fd, at.mtime)
	}
	up, name := split(at.path)
	d, err := a.root.existing(up)
	if err != nil {
		return err
	}
	fd, err := a.root.openComponent(d.fd, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := a.lastAttributes(fd, at); err != nil {
		return err
	}
	return setTimes(fd, at.mtime)
}

// lastAttributes gives an open directory what would change what is made in it, or keep this process out.
func (a *applier) lastAttributes(fd int, at *dirAttr) error {
	if at.chmod {
		if err := setMode(fd, at.mode); err != nil {
			return err
		}
	}
	if at.suspended != "" {
		return setXattr(fd, aclDefault, at.suspended)
	}
	for _, x := range at.acls {
		a.root.acls = a.root.acls || x.name == aclDefault
		if err := a.setOne(fd, at.path, x); err != nil {
			return err
		}
	}
	return nil
}

// result reports what a layer in Overlay form leaves to the stack.
func (a *applier) result() LayerResult {
	res := LayerResult{Links: a.links.all(), ReplacedLinks: a.replaced, OpaqueRoot: a.opaque, Devices: a.devices.sorted()}
	if a.form != Overlay {
		return res
	}
	for _, at := range a.attrs {
		if at.implicit && !a.belowOpaque(at.path) {
			res.Implicit = append(res.Implicit, at.path)
		}
	}
	for path := range a.marked {
		res.Whiteouts = append(res.Whiteouts, path)
	}
	slices.Sort(res.Implicit)
	slices.Sort(res.Whiteouts)
	return res
}

// belowOpaque tells whether a directory above path hides what lower layers have there.
func (a *applier) belowOpaque(path string) bool {
	switch {
	case path == "":
		return false
	case a.opaque:
		return true
	case len(a.opaques) == 0:
		return false
	}
	for dir, _ := split(path); dir != ""; dir, _ = split(dir) {
		if a.opaques[dir] {
			return true
		}
	}
	return false
}
