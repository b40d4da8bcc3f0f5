package repack

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// whiteoutPrefix makes a name one that hides another (layer.md, "Whiteouts").
const whiteoutPrefix = ".wh."

// step is one entry of the layer to be.
type step struct {
	key    string     // by which entries are sorted
	path   string     // of the file, or of the name that is hidden
	node   *tree.Node // nil: a whiteout
	target string     // of a hardlink: the path of the entry that holds the file
}

// Plan is what a layer will hold.
type Plan struct {
	steps   []step
	changes int
}

// Changes gives how many paths differ, without masked ones and what no layer has: with none, no layer is needed.
func (p *Plan) Changes() int { return p.changes }

// Entries gives how many entries the layer will have.
func (p *Plan) Entries() int { return len(p.steps) }

// PlanOptions direct NewPlan.
type PlanOptions struct {
	// Masks are paths whose changes do not count, with all that is below them; relative to the root or
	// with a slash before. What is there stays as the image has it.
	Masks  []string
	Logger *slog.Logger // receives warnings; nil discards them
}

// NewPlan plans the layer that turns the tree before into after; changes are what tree.Diff says of
// them. Errors are *Error with ErrName.
func NewPlan(before, after *tree.Tree, changes []tree.Change, o PlanOptions) (*Plan, error) {
	p := &planner{
		before: before, after: after, log: o.Logger,
		hidden: map[string]bool{}, written: map[string]*tree.Node{}, changed: map[string]bool{},
	}
	for _, m := range o.Masks {
		p.masks = append(p.masks, strings.Trim(m, "/"))
	}
	touched := p.touchedByMasked(changes)
	for _, c := range changes {
		if !touched[c.Path] {
			p.change(c)
		}
	}
	p.links()
	p.parents()
	plan := &Plan{steps: p.steps(), changes: p.count}
	for _, s := range plan.steps {
		if strings.HasPrefix(base(s.path), whiteoutPrefix) {
			return nil, &Error{Op: "plan", Subject: s.path, Clause: spec.LayerRepresenting, Err: ErrName}
		}
	}
	return plan, nil
}

// planner gathers the entries.
type planner struct {
	before, after *tree.Tree
	masks         []string
	log           *slog.Logger
	count         int
	hidden        map[string]bool       // paths with a whiteout
	written       map[string]*tree.Node // paths with an entry
	changed       map[string]bool       // files that differ in more than by whose names they are
}

// masked tells whether changes of a path do not count.
func (p *planner) masked(path string) bool {
	return slices.ContainsFunc(p.masks, func(m string) bool { return tree.Within(path, m) })
}

// touchedByMasked gives the directories whose time alone is another, since masked names came into them or went, and no
// others: mount points, for example.
func (p *planner) touchedByMasked(changes []tree.Change) map[string]bool {
	if len(p.masks) == 0 {
		return nil
	}
	touched := map[string]bool{}
	for _, c := range changes {
		if c.Kind != tree.Changed && p.masked(c.Path) {
			touched[dir(c.Path)] = true
		}
	}
	for _, c := range changes {
		if c.Kind != tree.Changed && !p.masked(c.Path) {
			delete(touched, dir(c.Path))
		}
		if c.Kind == tree.Changed && (len(c.What) != 1 || !strings.HasPrefix(c.What[0], "mtime ")) {
			delete(touched, c.Path)
		}
	}
	return touched
}

// change takes one difference.
func (p *planner) change(c tree.Change) {
	if p.masked(c.Path) {
		return
	}
	kind := c.Kind
	if c.New != nil && c.New.Mount && c.New.Kind != unpack.Directory {
		p.warn("a file that something is mounted on is left out: what it holds is not to be seen", c.Path)
		return
	}
	if why := unlayered(c.New); why != "" {
		p.warn(why, c.Path)
		if c.Old == nil {
			return
		}
		kind = tree.Removed
	}
	if kind == tree.Removed {
		p.remove(c.Path)
		return
	}
	if c.Kind == tree.Changed && len(c.What) == 1 && strings.HasPrefix(c.What[0], "hardlink ") {
		return // links decides
	}
	p.count++
	p.written[c.Path] = c.New
	p.changed[c.Path] = true
}

// unlayered tells why no layer has a file of this kind; "" if layers have.
func unlayered(n *tree.Node) string {
	switch {
	case n == nil:
		return ""
	case n.Kind == unpack.Socket:
		return "a socket is left out: a layer has none"
	case n.Kind == unpack.CharDevice && n.Major == 0 && n.Minor == 0:
		return "the character device 0:0 is left out: where layers are mounted it means a deletion"
	}
	return ""
}

func (p *planner) warn(text, path string) {
	if p.log != nil {
		p.log.Warn(text, "path", quote(path))
	}
}

// remove hides a path that is gone, unless what it was in is gone or hides it by being no directory.
func (p *planner) remove(path string) {
	p.count++
	if parent := p.after.Lookup(dir(path)); parent != nil && parent.Kind == unpack.Directory {
		p.hidden[path] = true
	}
}

// parents adds the directories on the way to each entry. The root is in the layer only for its own sake.
func (p *planner) parents() {
	add := func(path string) {
		for path = dir(path); path != ""; path = dir(path) {
			if _, ok := p.written[path]; ok {
				return // and so are those above
			}
			p.written[path] = p.after.Lookup(path)
		}
	}
	for _, path := range sortedKeys(p.hidden) {
		add(path)
	}
	for _, path := range sortedKeys(p.written) {
		add(path)
	}
}

// steps puts the entries in order, and makes hardlinks of the further names of a file.
func (p *planner) steps() []step {
	list := make([]step, 0, len(p.hidden)+len(p.written))
	for path := range p.hidden {
		list = append(list, step{key: whiteoutKey(path), path: path})
	}
	for path, n := range p.written {
		list = append(list, step{key: key(path), path: path, node: n})
	}
	slices.SortFunc(list, func(a, b step) int { return strings.Compare(a.key, b.key) })
	first := map[*tree.Node]string{}
	for i, s := range list {
		if s.node == nil || s.node.Kind == unpack.Directory || s.node.Names < 2 {
			continue
		}
		if target, ok := first[s.node]; ok {
			list[i].target = target
		} else {
			first[s.node] = s.path
		}
	}
	return list
}

// key makes a path sort so that a directory comes before what is in it, and that before the directory's next
// sibling: NUL, which no name has, stands for the slash.
func key(path string) string {
	if path == "" {
		return ""
	}
	return "\x00" + strings.ReplaceAll(path, "/", "\x00")
}

// whiteoutKey sorts before all siblings: its last component but one is empty.
func whiteoutKey(path string) string { return key(dir(path)) + "\x00\x00" + base(path) }

// dir gives what a path is in, "" for the root.
func dir(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// base gives the last component.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
