package tree

import (
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack"
)

// frame is a directory on a way through a layer and the layers below it.
type frame struct {
	name   string
	change *change // nil: the layer does not have it
	lower  *Node   // what the layers below have there, unless the layer hides it; only without create
}

// walk goes to the directory at path. With create what is missing becomes an implied directory, and
// what is in the way gives way to one; without, also the layers below are looked at, and a way that ends is nil, nil.
// Symbolic links of the layer are followed. The frames of the way stay in l.frames until the next walk.
func (l *Layer) walk(path string, create bool) (frame, error) {
	top := frame{change: l.root}
	if !create {
		top.lower = l.tree.Root
	}
	l.frames = append(l.frames[:0], top)
	links := 0
	for rest := path; rest != ""; {
		var comp string
		comp, rest, _ = strings.Cut(rest, "/")
		switch comp {
		case "", ".":
			continue
		case "..":
			l.frames = l.frames[:max(1, len(l.frames)-1)]
			continue
		}
		next, link, err := l.step(l.frames[len(l.frames)-1], comp, create)
		switch {
		case err != nil:
			return frame{}, err
		case link != "":
			if links++; links > maxLinks {
				return frame{}, refuse(path, spec.LayerTar, unpack.ErrUnsafePath, "the way leads through more than %d symbolic links", maxLinks)
			}
			if link[0] == '/' {
				l.frames = l.frames[:1]
			}
			rest = link + "/" + rest
		case next.change == nil && next.lower == nil:
			return frame{}, nil
		default:
			l.frames = append(l.frames, next)
		}
	}
	return l.frames[len(l.frames)-1], nil
}

// step goes from a directory to one in it, or gives the target of a symbolic link.
func (l *Layer) step(d frame, name string, create bool) (next frame, link string, err error) {
	next.name = name
	if d.change != nil {
		next.change = d.change.entries[name]
	}
	if c := next.change; c != nil && c.node != nil && c.node.Kind == unpack.Symlink && !c.foreign {
		return frame{}, c.node.Link, nil
	}
	if !create {
		next.lower = below(d, name)
		if next.lower != nil && next.lower.Kind != unpack.Directory {
			next.lower = nil
		}
		if next.change != nil && next.change.entries == nil {
			if next.change.node != nil {
				next.lower = nil
			}
			next.change = nil // at most a whiteout
		}
		return next, "", nil
	}
	if next.change, err = l.at(d.change, name); err != nil || next.change.entries != nil {
		return next, "", err
	}
	if int64(len(l.frames)) > l.o.Limits.Depth {
		return frame{}, "", refuse("", spec.LayerTar, unpack.ErrLimit, "%d directories deep", l.o.Limits.Depth)
	}
	*next.change = change{hides: next.change.hides, entries: map[string]*change{}}
	return next, "", nil
}

// below gives what the layers below have under a name of a directory and the layer did not hide so far.
func below(d frame, name string) *Node {
	if d.lower == nil {
		return nil
	}
	if d.change != nil {
		if c := d.change.entries[name]; d.change.opaque || c != nil && c.hides {
			return nil
		}
	}
	return d.lower.children[name]
}

// target gives the file that a hardlink for base in dir means, and whether it is one of the layers below.
func (l *Layer) target(dir frame, base string, e *unpack.Entry) (*Node, bool, error) {
	if n := l.aufs[e.Link]; n != nil {
		return n, false, nil
	}
	if role, err := unpack.RoleOf(e.Link); err != nil || role != unpack.Ordinary {
		return nil, false, refuse(e.Path, spec.LayerHardlink, unpack.ErrLink, "hardlink to the whiteout %q", e.Link)
	}
	own := join(l.where(), base)
	up, name := cut(e.Link)
	from, err := l.walk(up, false)
	if err != nil {
		return nil, false, err
	}
	way := l.where()
	if join(way, name) == own {
		return nil, false, refuse(e.Path, spec.LayerHardlink, unpack.ErrLink, "hardlink to itself")
	}
	var c *change
	if from.change != nil {
		c = from.change.entries[name]
	}
	n, foreign := below(from, name), true
	if c != nil && (c.node != nil || c.entries != nil) {
		n, foreign = c.node, c.foreign
	}
	switch {
	case c != nil && c.entries != nil, n != nil && n.Kind == unpack.Directory:
		return nil, false, refuse(e.Path, spec.LayerHardlink, unpack.ErrLink, "hardlink to the directory %q", e.Link)
	case n == nil:
		return nil, false, refuse(e.Path, spec.LayerHardlink, unpack.ErrLink, "hardlink to %q, which does not exist", e.Link)
	case way == own, strings.HasPrefix(way, own+"/"):
		return nil, false, refuse(e.Path, spec.LayerHardlink, unpack.ErrLink, "the link replaces the directory of its target %q", e.Link)
	}
	return n, foreign, nil
}

// where is the path without symbolic links at which the last walk ended.
func (l *Layer) where() string {
	var b strings.Builder
	for i, f := range l.frames[1:] {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(f.name)
	}
	return b.String()
}
