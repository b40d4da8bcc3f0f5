package tree

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
	// What tells the differences of a changed path, each as "field" or "field old -> new": "type",
	// "mode", "owner", "mtime", "size", "content", "target", "device", "xattr NAME", "hardlink".
	// Names from images in it are quoted.
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

// Diff tells how b differs from a, sorted by path; a directory comes before what is in it.
func Diff(a, b *Tree, o DiffOptions) []Change { return nil }
