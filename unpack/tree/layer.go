package tree

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack"
)

const (
	// maxLinks is the kernel's own bound on symbolic links in one resolution.
	maxLinks = 40
	// maxAUFS is how many files a layer may have in AUFS's directory of hardlinks.
	maxAUFS = 1024
)

// New gives the tree of no layers: a root with the attributes of one that no layer describes.
func New() *Tree { return &Tree{Root: implied(), len: 1} }

// implied is a directory that nothing describes.
func implied() *Node {
	return &Node{Kind: unpack.Directory, Mode: 0o755, Implicit: true, Position: -1, Names: 1}
}

// Layer is a layer on its way into a tree: the tree changes when all its entries are known.
type Layer struct {
	tree   *Tree
	index  int
	o      Options
	root   *change
	aufs   map[string]*Node // AUFS's files with many names, by the first
	left   int64            // changes that may still be noted
	bytes  int64            // of names and attributes that may still be noted
	frames []frame          // scratch of walk
}

// change is what a layer does to one name.
type change struct {
	hides   bool               // what the layers below have here is gone, whatever comes in its place
	node    *Node              // what the layer has here; nil: nothing, or an implied directory
	entries map[string]*change // of a directory; nil for all else
	opaque  bool               // of a directory: what the layers below have in it is gone
	foreign bool               // node is a file of the layers below
}

// Layer begins a layer; index is its place in the image, 1 for the base.
func (t *Tree) Layer(index int, o Options) *Layer {
	l := &Layer{tree: t, index: index, o: o, root: &change{entries: map[string]*change{}}}
	l.o.Limits = o.Limits.WithDefaults()
	l.left, l.bytes = l.o.Limits.Entries-int64(t.len), l.o.Limits.LogBytes
	return l
}

// Add takes the next entry of the layer. After an error the layer must be thrown away.
func (l *Layer) Add(e *unpack.Entry) error { return l.AddContent(e, "") }

// AddContent is Add for a regular file whose content has a known sha256.
func (l *Layer) AddContent(e *unpack.Entry, d digest.Digest) error {
	switch e.Role {
	case unpack.AUFSHidden:
		return nil
	case unpack.AUFSLink:
		return l.keep(e, d)
	case unpack.Whiteout, unpack.Opaque:
		if e.Kind != unpack.Regular && e.Kind != unpack.Hardlink { // AUFS makes hardlinks of its whiteouts
			return refuse(e.Path, spec.LayerWhiteout, unpack.ErrWhiteout, "it is not a file")
		}
	}
	if e.Path == "" {
		l.root.node = l.node(e, d)
		return nil
	}
	up, base := cut(e.Path)
	dir, err := l.walk(up, true)
	if err != nil {
		return name(err, e.Path)
	}
	switch e.Role {
	case unpack.Whiteout:
		c, err := l.at(dir.change, e.Hides)
		if err != nil {
			return name(err, e.Path)
		}
		c.hides = true
		return nil
	case unpack.Opaque:
		dir.change.opaque = true
		return nil
	}
	return name(l.place(dir, base, e, d), e.Path)
}

// place takes an ordinary entry for base in the directory dir.
func (l *Layer) place(dir frame, base string, e *unpack.Entry, d digest.Digest) error {
	node, foreign := (*Node)(nil), false
	switch {
	case e.Kind == unpack.Hardlink:
		var err error
		if node, foreign, err = l.target(dir, base, e); err != nil {
			return err
		}
	case e.Kind == unpack.CharDevice && e.Major == 0 && e.Minor == 0:
		if l.o.Devices == unpack.DeviceSkip {
			if l.o.Logger != nil {
				l.o.Logger.Warn("a device 0/0 is left out", "layer", l.index, "entry", fmt.Sprintf("%q", e.Path))
			}
			return nil
		}
		return refuse(e.Path, spec.LayerWhiteout, unpack.ErrDevice, "a device 0/0 would be a whiteout to overlayfs; to leave it out, skip devices")
	default:
		node = l.node(e, d)
	}
	c, err := l.at(dir.change, base)
	if err != nil {
		return err
	}
	if e.Kind == unpack.Directory && c.entries != nil {
		c.node = node
		return nil
	}
	hides := c.hides || c.node != nil || e.Kind != unpack.Directory
	*c = change{hides: hides, node: node, foreign: foreign}
	if e.Kind == unpack.Directory {
		c.entries = map[string]*change{}
	}
	if l.bytes -= int64(len(base) + len(e.Link)); l.bytes < 0 {
		return l.tooLarge()
	}
	return nil
}

// node gives the file that an entry describes.
func (l *Layer) node(e *unpack.Entry, d digest.Digest) *Node {
	n := &Node{
		Kind: e.Kind, Mode: e.Mode, UID: e.UID, GID: e.GID, Sec: e.Mtime.Unix(), Nsec: int32(e.Mtime.Nanosecond()),
		Size: e.Size, Major: e.Major, Minor: e.Minor, Digest: d, Layer: l.index, Position: e.Position,
	}
	if e.Kind == unpack.Symlink {
		n.Mode, n.Link = 0o777, e.Link
	}
	for _, x := range e.Xattrs {
		if holds(e.Kind, x.Name) {
			n.Xattrs = append(n.Xattrs, x)
			l.bytes -= int64(len(x.Name) + len(x.Value))
		}
	}
	return n
}

// holds tells whether a file of a kind can have an xattr: those of users are for files and directories only
// (xattr(7)), and a symbolic link has no ACL.
func holds(k unpack.Kind, xattr string) bool {
	switch {
	case strings.HasPrefix(xattr, "user."):
		return k == unpack.Regular || k == unpack.Directory
	case strings.HasPrefix(xattr, "system.posix_acl_"):
		return k != unpack.Symlink
	}
	return true
}

// keep notes a file of AUFS's directory of hardlinks.
func (l *Layer) keep(e *unpack.Entry, d digest.Digest) error {
	if e.Kind != unpack.Regular {
		return nil
	}
	if len(l.aufs) >= maxAUFS {
		return refuse(e.Path, spec.Clause{}, unpack.ErrLimit, "more than %d files in AUFS's directory of hardlinks", maxAUFS)
	}
	if l.aufs == nil {
		l.aufs = map[string]*Node{}
	}
	l.aufs[e.Path] = l.node(e, d)
	return nil
}

// at gives what the layer does to a name of a directory, nothing so far perhaps.
func (l *Layer) at(dir *change, name string) (*change, error) {
	if c := dir.entries[name]; c != nil {
		return c, nil
	}
	if l.left--; l.left < 0 {
		return nil, l.tooLarge()
	}
	c := &change{}
	dir.entries[name] = c
	return c, nil
}

func (l *Layer) tooLarge() error {
	return fmt.Errorf("%w: the tree is too large to be held: more than %d paths, or %d bytes of names and attributes in a layer",
		unpack.ErrLimit, l.o.Limits.Entries, l.o.Limits.LogBytes)
}

// refuse makes an *unpack.Error.
func refuse(path string, clause spec.Clause, kind error, format string, args ...any) error {
	return &unpack.Error{Op: "apply", Subject: path, Clause: clause, Err: fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)}
}

// name names the entry in an error that does not.
func name(err error, path string) error {
	if _, ok := err.(*unpack.Error); err == nil || ok { //nolint:errorlint // only this package's own
		return err
	}
	return &unpack.Error{Op: "apply", Subject: path, Err: err}
}

// cut cuts a path at its last slash; dir is "" at the root.
func cut(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
