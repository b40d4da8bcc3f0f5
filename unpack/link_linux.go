package unpack

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// placeLink makes a hardlink to a file of this layer, of the layers below (Merged), or notes it
// for who stacks the layers (Overlay).
func (a *applier) placeLink(d *dir, name string, e *entry) error {
	if fd, ok := a.plinks[e.link]; ok {
		a.dropLinks(join(d.path, name), true)
		return a.linkPlink(fd, d, name)
	}
	if role, _, err := classify(e.link); err != nil || role != ordinary {
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to the whiteout %q", e.link)
	}
	targetDir, targetName := split(e.link)
	from, err := a.walk(targetDir, false)
	var st unix.Stat_t
	if err == nil {
		if err = unix.Fstatat(from.fd, targetName, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			err = a.root.spelled(from, targetName)
		}
	}
	target := e.link
	if from != nil {
		target = join(from.path, targetName)
	}
	switch {
	case a.devices.left[target] && (isErrno(err, unix.ENOENT) || err == nil && a.form == Overlay && isWhiteout(&st)):
		a.warn.entry(e.path, "a device is left out, of which this is a hardlink")
		return a.leaveOutAt(d, name)
	case isErrno(err, unix.ENOENT) && a.form == Overlay:
		target, err := a.lowerPath(targetDir, targetName)
		if err != nil {
			return err
		}
		if target == "" {
			return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to %q, which the layer removes", e.link)
		}
		return a.lowerLink(d, name, target, e)
	case isErrno(err, unix.ENOENT):
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to %q, which does not exist", e.link)
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to the directory %q", e.link)
	case a.form == Overlay && isWhiteout(&st):
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to %q, which the layer removes", e.link)
	case from.ino == d.ino && targetName == name:
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to itself")
	}
	path := join(d.path, name)
	if from.path == path || strings.HasPrefix(from.path, path+"/") {
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "the link replaces the directory of its target %q", e.link)
	}
	a.dropLinks(path, true)
	mark := int32(-1)
	if pos, ok := a.made[a.key(from.ino, targetName)]; a.form == Merged && (!ok || pos == foreign) {
		mark = foreign
	}
	err = a.linkOver(d, name, func() error { return unix.Linkat(from.fd, targetName, d.fd, name, 0) })
	if err == nil {
		a.mine(d, name, mark)
		a.devices.link(path, target)
	}
	return err
}

// linkOver calls link, and once more after removing what has the name.
func (a *applier) linkOver(d *dir, name string, link func() error) error {
	err := link()
	if err == unix.EEXIST {
		if _, err := a.clear(d, name); err != nil {
			return err
		}
		err = link()
	}
	if err == nil {
		a.mine(d, name, -1)
	}
	return err
}

// lowerPath gives the path at which the layers below have a file that this layer, in Overlay form,
// does not have: the layer's symbolic links are followed. It is "" if the layer hides what is there.
func (a *applier) lowerPath(dirPath, name string) (string, error) {
	d, at, links := &a.root.top, "", 0 // d is nil where the layer has no directory
	for rest := dirPath + "/" + name; rest != ""; {
		var comp string
		comp, rest, _ = strings.Cut(rest, "/")
		switch comp {
		case "", ".":
			continue
		case "..":
			at, _ = split(at)
			var err error
			if d, err = a.root.existing(at); err != nil {
				d = nil
			}
			continue
		}
		at = join(at, comp)
		if d == nil {
			continue
		}
		c, err := a.root.child(d, comp)
		switch err {
		case nil:
			d = c
		case unix.ENOENT:
			if noted := a.hasLink(at); noted && rest != "" || !noted && a.belowOpaque(at) {
				return "", nil
			}
			d = nil
		case unix.ENOTDIR:
			target, err := readlink(d.fd, comp)
			if err != nil {
				return "", nil // a file, or a whiteout
			}
			if links++; links > maxLinks {
				return "", fail("apply", dirPath, spec.LayerTar, ErrUnsafePath, "the way leads through more than %d symbolic links", maxLinks)
			}
			if at = d.path; strings.HasPrefix(target, "/") {
				d, at = &a.root.top, ""
			}
			rest = target + "/" + rest
		default:
			return "", err
		}
	}
	return at, nil
}

// lowerLink notes a hardlink to a file that this layer does not have.
func (a *applier) lowerLink(d *dir, name, target string, e *entry) error {
	path := join(d.path, name)
	switch {
	case target == path:
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to itself")
	case strings.HasPrefix(target, path+"/"):
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "the link replaces the directory of its target %q", e.link)
	}
	if l, ok := a.links.get(target); ok { // a link to a link that was noted: maybe to what lower layers have at path
		target = l.Target
	}
	if _, err := a.clear(d, name); err != nil && !isErrno(err, unix.ENOENT) {
		return err
	}
	a.dropLinks(path, true)
	a.links.put(path, LowerLink{Name: path, Target: target})
	return nil
}

// dropLinks drops the noted link at path, where something else is made now, and with below also
// those below it. It tells whether there was one at path: it hid what lower layers have there, and
// so must a directory in its place.
func (a *applier) dropLinks(path string, below bool) (hiding bool) {
	gone, hiding := a.links.take(path, below)
	a.replaced = append(a.replaced, gone...)
	return hiding
}
