package tree

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/unpack"
)

// ChangeKind is what became of a path.
type ChangeKind uint8

// The kinds of changes.
const (
	Added ChangeKind = iota + 1
	Removed
	Changed
)

// String gives one word.
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown"
}

// Change is one path that is not the same in two trees.
type Change struct {
	Path string // relative to the root; raw bytes
	Kind ChangeKind
	// What tells the differences of a changed path, each beginning with a word: "type A -> B", "mode A -> B",
	// "owner A -> B", "mtime A -> B", "size A -> B", "content", "target A -> B", "device A -> B", "xattr NAME added" (or removed, changed),
	// "hardlink A -> B" (the first of the file's names). What comes from an image is quoted as Go does.
	What     []string
	Old, New *Node // nil where the path is not
}

// DiffOptions direct Diff.
type DiffOptions struct {
	IgnoreTimes    bool // no modification times at all
	IgnoreDirTimes bool // none of directories: who changes what is in one changes its time
	// Content compares the digests of files; both trees must have been made with Content. Without,
	// files of one size and time are taken to be the same.
	Content bool
}

// Diff tells how b differs from a, sorted by path; a directory comes before what is in it. Of a directory
// that something is mounted on in either tree, nothing is known.
func Diff(a, b *Tree, o DiffOptions) []Change {
	d := differ{o: o}
	d.first[0], d.first[1] = firstNames(a, b), firstNames(b, a)
	d.node("", a.Root, b.Root)
	return d.changes
}

type differ struct {
	o       DiffOptions
	first   [2]map[*Node]string
	changes []Change
}

// firstNames gives the first name, of those that another tree has too, of each file with several names:
// a name that is gone is no change of the file's other names.
func firstNames(t, other *Tree) map[*Node]string {
	first := map[*Node]string{}
	var both func(path string, n, o *Node)
	both = func(path string, n, o *Node) {
		if n.Names > 1 {
			if _, ok := first[n]; !ok {
				first[n] = path
			}
		}
		if n.children == nil || o.children == nil {
			return
		}
		for _, name := range n.names() {
			if c := o.children[name]; c != nil {
				both(join(path, name), n.children[name], c)
			}
		}
	}
	both("", t.Root, other.Root)
	return first
}

// node compares what two trees have at a path; nil is nothing.
func (d *differ) node(path string, a, b *Node) {
	switch {
	case a != nil && b != nil && (a.Mount || b.Mount):
		return
	case a == nil:
		d.changes = append(d.changes, Change{Path: path, Kind: Added, New: b})
	case b == nil:
		d.changes = append(d.changes, Change{Path: path, Kind: Removed, Old: a})
	default:
		if what := d.compare(path, a, b); len(what) > 0 {
			d.changes = append(d.changes, Change{Path: path, Kind: Changed, What: what, Old: a, New: b})
		}
	}
	var an, bn map[string]*Node
	var names []string
	if a != nil {
		an, names = a.children, a.names()
	}
	if b != nil {
		bn = b.children
		for name := range bn {
			if an[name] == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
	}
	for _, name := range names {
		d.node(join(path, name), an[name], bn[name])
	}
}

// compare tells how two files differ.
func (d *differ) compare(path string, a, b *Node) []string {
	if a.Kind != b.Kind {
		return []string{fmt.Sprintf("type %s -> %s", a.Kind, b.Kind)}
	}
	var what []string
	note := func(differs bool, format string, args ...any) {
		if differs {
			what = append(what, fmt.Sprintf(format, args...))
		}
	}
	note(a.Mode != b.Mode, "mode %04o -> %04o", a.Mode, b.Mode)
	note(a.UID != b.UID || a.GID != b.GID, "owner %d:%d -> %d:%d", a.UID, a.GID, b.UID, b.GID)
	note(a.Size != b.Size, "size %d -> %d", a.Size, b.Size)
	note(a.Size == b.Size && d.o.Content && a.Digest != b.Digest, "content")
	note(a.Link != b.Link, "target %q -> %q", a.Link, b.Link)
	note(a.Major != b.Major || a.Minor != b.Minor, "device %d:%d -> %d:%d", a.Major, a.Minor, b.Major, b.Minor)
	what = append(what, compareXattrs(a.Xattrs, b.Xattrs)...)
	if a.Kind != unpack.Directory {
		// One without other names of its own in both trees is its own first.
		x, y := d.firstOf(0, a, path), d.firstOf(1, b, path)
		note(x != y, "hardlink %q -> %q", x, y)
	}
	times := !d.o.IgnoreTimes && !(d.o.IgnoreDirTimes && a.Kind == unpack.Directory)
	note(times && (a.Sec != b.Sec || a.Nsec != b.Nsec), "mtime %s -> %s", a.Time(), b.Time())
	return what
}

func (d *differ) firstOf(side int, n *Node, path string) string {
	if first, ok := d.first[side][n]; ok {
		return first
	}
	return path
}

// Time gives the modification time as people read it, RFC 3339 in UTC, with a fraction if there is one.
func (n *Node) Time() string {
	t := time.Unix(n.Sec, int64(n.Nsec)).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return strings.TrimSuffix(strconv.FormatInt(n.Sec, 10)+fmt.Sprintf(".%09d", n.Nsec), ".000000000")
	}
	return t.Format(time.RFC3339Nano)
}

// compareXattrs compares two sorted lists.
func compareXattrs(a, b []unpack.Xattr) []string {
	var what []string
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			what = append(what, fmt.Sprintf("xattr %q removed", a[0].Name))
			a = a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			what = append(what, fmt.Sprintf("xattr %q added", b[0].Name))
			b = b[1:]
		default:
			if a[0].Value != b[0].Value {
				what = append(what, fmt.Sprintf("xattr %q changed", a[0].Name))
			}
			a, b = a[1:], b[1:]
		}
	}
	return what
}
