package repack

import (
	"slices"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// group is the names that one file has in the new tree, masked ones left out, in the order of the tree.
type group struct {
	node  *tree.Node
	names []string
}

// links sees to files that have, or had, several names. Untouched names keep the file that the layers below
// give them. So they can stay out of the layer only if they all were names of one file that is still the
// same, and no other group of names stays with that file: then one of the two has to be written.
func (p *planner) links() {
	stay := map[*tree.Node]*group{} // by the old file
	var write []*group
	for _, g := range p.groups() {
		old := p.unchanged(g)
		if old == nil {
			write = append(write, g)
			continue
		}
		switch heir := stay[old]; {
		case heir == nil:
			stay[old] = g
		case len(g.names) > len(heir.names): // the fewer are written
			stay[old] = g
			write = append(write, heir)
		default:
			write = append(write, g)
		}
	}
	for _, g := range write {
		for _, name := range g.names {
			if _, ok := p.written[name]; !ok {
				p.count++
				p.written[name] = g.node
			}
		}
	}
}

// unchanged gives the file of the old tree that all names of a group are names of, if it is still the same; else nil.
func (p *planner) unchanged(g *group) *tree.Node {
	var old *tree.Node
	for _, name := range g.names {
		o := p.before.Lookup(name)
		if o == nil || p.changed[name] || old != nil && o != old {
			return nil
		}
		old = o
	}
	return old
}

// groups gives the files of the new tree that have several names, or one that was a name of such a file.
func (p *planner) groups() []*group {
	shared := map[string]bool{} // paths that shared a file
	_ = p.before.Walk(func(path string, n *tree.Node) error {
		if n.Kind != unpack.Directory && n.Names > 1 {
			shared[path] = true
		}
		return nil
	})
	var list []*group
	byNode := map[*tree.Node]*group{}
	_ = p.after.Walk(func(path string, n *tree.Node) error {
		if n.Kind == unpack.Directory || n.Mount || unlayered(n) != "" || n.Names < 2 && !shared[path] || p.masked(path) {
			return nil
		}
		g := byNode[n]
		if g == nil {
			g = &group{node: n}
			byNode[n] = g
			list = append(list, g)
		}
		g.names = append(g.names, path)
		return nil
	})
	slices.SortStableFunc(list, func(a, b *group) int { return strings.Compare(key(a.names[0]), key(b.names[0])) })
	return list
}

// quote makes a name harmless to print.
func quote(name string) string { return strconv.Quote(name) }
