package unpack

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// walk opens the directory at path. With create, what is missing is made; a symbolic link of this
// layer is followed, and anything else in the way is replaced. Without, what is not there is ENOENT.
func (a *applier) walk(path string, create bool) (*dir, error) {
	if d := a.root.cached(path); d != nil && (!create || a.touched(d)) {
		return d, nil
	}
	d, links := &a.root.top, 0
	for rest := path; rest != ""; {
		var comp string
		comp, rest, _ = strings.Cut(rest, "/")
		switch comp {
		case "", ".":
			continue
		case "..":
			up, _ := split(d.path)
			var err error
			if d, err = a.root.existing(up); err != nil {
				return nil, err
			}
			continue
		}
		next, target, err := a.step(d, comp, create)
		if err != nil {
			return nil, err
		}
		if next != nil {
			d = next
			continue
		}
		if links++; links > maxLinks {
			return nil, fail("apply", path, spec.LayerTar, ErrUnsafePath, "the way leads through more than %d symbolic links", maxLinks)
		}
		if strings.HasPrefix(target, "/") {
			d = &a.root.top
		}
		rest = target + "/" + rest
	}
	return d, nil
}

// step opens the directory name in d, or gives the target of the symbolic link that it is.
func (a *applier) step(d *dir, name string, create bool) (*dir, string, error) {
	c, err := a.root.child(d, name)
	if err == nil {
		return c, "", a.touch(d, name, c, create)
	}
	if err == unix.ENOTDIR {
		if a.follows(d, name) {
			if target, err := readlink(d.fd, name); err == nil {
				return nil, target, nil
			}
		}
		if !create {
			return nil, "", unix.ENOENT
		}
		return a.implicit(d, name, true)
	}
	if err != unix.ENOENT || !create {
		return nil, "", err
	}
	return a.implicit(d, name, false)
}

// follows tells whether a symbolic link is this layer's. One that is a hardlink to a lower layer's
// is not: the layer by itself cannot know where it leads.
func (a *applier) follows(d *dir, name string) bool {
	if a.form == Overlay {
		return true
	}
	pos, ok := a.made[a.key(d.ino, name)]
	return ok && pos != foreign
}

// touch notes that this layer has a directory, before the first change in it.
//
// Who only looks for the target of a hardlink makes no change in it: the directory is then not the layer's own
// (ours), and goes with what the layer hides.
func (a *applier) touch(d *dir, name string, c *dir, own bool) error {
	at := a.attrs[c.ino]
	if at != nil && (at.own || !own) {
		return nil
	}
	if own {
		a.mine(d, name, -1)
	}
	if at != nil {
		at.own = true
		return nil
	}
	at = &dirAttr{path: c.path, mtime: c.mtime, implicit: true, own: own}
	a.attrs[c.ino] = at
	if err := a.suspendACL(c.fd, at); err != nil {
		return err
	}
	if a.owners.uid != 0 && c.mode&0o700 != 0o700 { // without privileges its mode keeps this process out
		at.mode, at.chmod = c.mode, true
		return setMode(c.fd, c.mode|0o700)
	}
	return nil
}

// touched tells whether this layer has a directory.
func (a *applier) touched(d *dir) bool {
	at := a.attrs[d.ino]
	return d.path == "" || at != nil && at.own
}

// implicit makes a directory that the layer has no entry for, in place of whatever is there.
func (a *applier) implicit(d *dir, name string, occupied bool) (*dir, string, error) {
	if deep := int64(strings.Count(d.path, "/") + 2); deep > a.o.Limits.Depth {
		return nil, "", Exceeded("depth", a.o.Limits.Depth, deep, "symbolic links lead deeper")
	}
	hiding := false
	if occupied {
		var err error
		if hiding, err = a.clear(d, name); err != nil {
			return nil, "", err
		}
	}
	hiding = a.dropLinks(join(d.path, name), false) || hiding
	if err := unix.Mkdirat(d.fd, name, 0o755); err != nil {
		return nil, "", err
	}
	a.mine(d, name, -1)
	c, err := a.root.child(d, name)
	if err != nil {
		return nil, "", err
	}
	if err := a.chown(d, c.fd, 0, 0); err != nil {
		return nil, "", err
	}
	a.attrs[c.ino] = &dirAttr{path: c.path, own: true, mode: 0o755, chmod: a.umask&0o755 != 0, implicit: !hiding}
	if c.setgid { // inherited: what is made in it must not inherit it too
		if err := a.dropSetgid(d, name, c); err != nil {
			return nil, "", err
		}
	}
	if hiding {
		err = a.markOpaque(c)
	}
	return c, "", err
}

func (a *applier) dropSetgid(d *dir, name string, c *dir) error {
	fd, err := a.root.openComponent(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	c.setgid = false
	return unix.Fchmod(fd, 0o755)
}
