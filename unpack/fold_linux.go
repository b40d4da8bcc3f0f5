package unpack

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// A file system may take two names for one: "Foo" and "foo", or two forms of an accented letter. Then two
// files of an image become one, and nobody is told. Whether a root is on such a file system is asked once,
// of the root; ordinary ones pay no more than that.

// folding is what a Root knows of names where they are folded.
type folding struct {
	empty bool                  // the root was, before anything was made in it
	known map[spelling]struct{} // what was made, as it was spelled
}

type spelling struct {
	dir  uint64 // inode
	name string
}

// probe finds out whether the file system folds names, by a file of a name that no layer can have.
func (r *Root) probe() error {
	if r.probed {
		return nil
	}
	r.probed = true
	names, err := list(r.top.fd)
	if err != nil {
		return err
	}
	const prefix = metaPrefix + "Probe-"
	made := prefix + "\u00c4"
	others := []string{prefix + "\u00e4", metaPrefix + "pROBE-\u00c4", prefix + "A\u0308"}
	err = unix.Mknodat(r.top.fd, made, unix.S_IFREG|0o600, 0)
	if err != nil && err != unix.EEXIST { // not a name here: letters that all have will do
		made, others = prefix, []string{metaPrefix + "pROBE-"}
		if err = unix.Mknodat(r.top.fd, made, unix.S_IFREG|0o600, 0); err != nil && err != unix.EEXIST {
			return err
		}
	}
	for _, other := range others {
		var st unix.Stat_t
		if unix.Fstatat(r.top.fd, other, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			r.folds = &folding{len(names) == 0, map[spelling]struct{}{}}
		}
	}
	return unix.Unlinkat(r.top.fd, made, 0)
}

// spelled is asked about a name that is there: it refuses one that stands there in another spelling.
func (r *Root) spelled(d *dir, name string) error {
	if r.folds == nil {
		return nil
	}
	if _, ok := r.folds.known[spelling{d.ino, name}]; ok {
		return nil
	}
	names, err := list(d.fd)
	if err != nil {
		return err
	}
	other := r.otherSpelling(d, name, names)
	if other == name && !r.folds.empty { // someone else made it
		r.folds.known[spelling{d.ino, name}] = struct{}{}
		return nil
	}
	return fail("apply", join(d.path, name), spec.Clause{}, ErrNames, "%q and %q", join(d.path, other), join(d.path, name))
}

// otherSpelling finds the name under which a file is there.
func (r *Root) otherSpelling(d *dir, name string, names []string) string {
	for s := range r.folds.known {
		if s.dir == d.ino && strings.EqualFold(s.name, name) {
			return s.name
		}
	}
	var want, st unix.Stat_t
	found := name
	if unix.Fstatat(d.fd, name, &want, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return found
	}
	for _, n := range names {
		if n == name {
			return n
		}
		if unix.Fstatat(d.fd, n, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == want.Ino {
			found = n
		}
	}
	return found
}

// mine notes that this layer made a name, or passed through it; pos is the position of its content in the
// log, or -1, or foreign.
func (a *applier) mine(d *dir, name string, pos int32) {
	a.made[a.key(d.ino, name)] = pos
	if a.root.folds != nil {
		a.root.folds.known[spelling{d.ino, name}] = struct{}{}
	}
}
