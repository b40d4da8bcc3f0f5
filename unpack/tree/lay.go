package tree

import (
	"fmt"

	"github.com/oci-pipeline/oci/unpack"
)

// Close lays the layer over the tree. The Layer must not be used after it.
func (l *Layer) Close() error {
	if l.bytes < 0 {
		return &unpack.Error{Op: "apply", Layer: l.index, Err: l.tooLarge()}
	}
	l.tree.Root = l.lay(l.tree.Root, l.root)
	if int64(l.tree.len) > l.o.Limits.Entries { // cannot be, as far as at counts right
		return &unpack.Error{Op: "apply", Layer: l.index, Err: fmt.Errorf("%w: %d paths", unpack.ErrLimit, l.tree.len)}
	}
	return nil
}

// lay gives what there is at a name once a change is laid over what was there, nil if nothing was or is.
func (l *Layer) lay(lower *Node, c *change) *Node {
	hidden := c.hides || c.entries != nil && lower != nil && lower.Kind != unpack.Directory
	if hidden && lower != nil {
		l.tree.drop(lower)
		lower = nil
	}
	switch {
	case c.entries != nil:
		return l.layDir(lower, c)
	case c.node != nil:
		l.tree.len++
		c.node.Names++
		return c.node
	}
	return lower
}

// layDir is lay for a directory over a directory, or over nothing.
func (l *Layer) layDir(lower *Node, c *change) *Node {
	n := c.node
	switch {
	case n == nil && lower == nil:
		n = implied()
		l.tree.len++
	case n == nil:
		n = lower
	case lower == nil:
		n.Names = 1
		l.tree.len++
	default:
		n.Names, n.children = 1, lower.children
	}
	if c.opaque {
		for _, child := range n.children {
			l.tree.drop(child)
		}
		n.children = nil
	}
	for name, cc := range c.entries {
		child := l.lay(n.children[name], cc)
		switch {
		case child == nil:
			delete(n.children, name)
			continue
		case n.children == nil:
			n.children = make(map[string]*Node, len(c.entries))
		}
		n.children[name] = child
	}
	return n
}

// drop takes a node and what is below it out of the counts.
func (t *Tree) drop(n *Node) {
	t.len--
	n.Names--
	for _, child := range n.children {
		t.drop(child)
	}
}
