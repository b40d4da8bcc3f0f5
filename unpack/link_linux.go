package unpack

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// placeLink makes a hardlink to a file of this layer, of the layers below (Merged), or notes it
// for who stacks the layers (Overlay).
func (a *applier) placeLink(d *dir, name string, e *entry) error {
	if fd, ok := a.plinks[e.link]; ok {
		return a.linkPlink(fd, d, name)
	}
	if role, _, err := classify(e.link); err != nil || role != ordinary {
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to the whiteout %q", e.link)
	}
	targetDir, targetName := split(e.link)
	from, err := a.walk(targetDir, false)
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstatat(from.fd, targetName, &st, unix.AT_SYMLINK_NOFOLLOW)
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
		return a.lowerLink(d, name, e)
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
		a.made[a.key(d.ino, name)] = mark
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
		a.made[a.key(d.ino, name)] = -1
	}
	return err
}

// lowerLink notes a hardlink whose target this layer does not have.
func (a *applier) lowerLink(d *dir, name string, e *entry) error {
	target := e.link
	for _, l := range a.links {
		if l.Name == e.link { // a link to a link that was noted
			target = l.Target
		}
	}
	if _, err := a.clear(d, name); err != nil && !isErrno(err, unix.ENOENT) {
		return err
	}
	path := join(d.path, name)
	if target == path {
		return fail("apply", e.path, spec.LayerHardlink, ErrLink, "hardlink to itself")
	}
	a.dropLinks(path, true)
	a.links = append(a.links, LowerLink{Name: path, Target: target})
	return nil
}

// dropLinks forgets the noted link at path, where something else is made now, and with below also
// those below it. It tells whether there was one at path: it hid what lower layers have there, and
// so must a directory in its place.
func (a *applier) dropLinks(path string, below bool) (hiding bool) {
	if len(a.links) == 0 {
		return false
	}
	a.links = slices.DeleteFunc(a.links, func(l LowerLink) bool {
		hiding = hiding || l.Name == path
		return l.Name == path || below && strings.HasPrefix(l.Name, path+"/")
	})
	return hiding
}
