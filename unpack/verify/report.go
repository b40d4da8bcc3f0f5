package verify

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/unpack/tree"
)

// LayerState says what is known of a layer.
type LayerState string

// The states of a layer.
const (
	// NotRead: the level does not look at content.
	NotRead LayerState = "not read"
	// Proved: at Content, what is on disk of the layer has the content of the layer; at Exact, its tar was
	// put together again, and has the DiffID.
	Proved LayerState = "proved"
	// Differs: files of the layer were changed.
	Differs LayerState = "differs"
	// Unproved: it could not be found out; Why says what is missing.
	Unproved LayerState = "unproved"
)

// LayerReport is what was found out about a layer.
type LayerReport struct {
	Index   int // 1 for the base
	DiffID  digest.Digest
	State   LayerState
	Rebuilt bool   // the tar was put together from disk and log, and has the DiffID
	Hidden  int    // files whose content upper layers hide: it came from the blob
	Why     string // of Differs and Unproved
}

// Unread is a path that could not be read, or changed while it was.
type Unread struct {
	Path string // relative to the root; raw bytes
	Why  string
}

// Report is what was found out about a root file system.
type Report struct {
	Level Level
	// Changes tell how the disk differs from the image, sorted by path: Added are extra, Removed are missing.
	Changes []tree.Change
	Unread  []Unread      // sorted by path
	Layers  []LayerReport // base first
	Mounts  []string      // paths on which something is mounted, and that were not looked into; sorted
	LeftOut int           // differences that this machine's limits explain, as the record has them
	Paths   int           // on disk
	Files   int           // whose content was compared
	Bytes   int64         // of these
}

// OK tells whether the root file system was proved to be the image, at the level of the report.
func (r Report) OK() bool {
	return len(r.Changes) == 0 && len(r.Unread) == 0 && !slices.ContainsFunc(r.Layers, func(l LayerReport) bool {
		return l.State == Differs || l.State == Unproved
	})
}

// Count gives how many paths were changed, are missing, and are extra.
func (r Report) Count() (changed, missing, extra int) {
	for _, c := range r.Changes {
		switch c.Kind {
		case tree.Changed:
			changed++
		case tree.Removed:
			missing++
		case tree.Added:
			extra++
		}
	}
	return changed, missing, extra
}

// note adds that the content of a path differs.
func (r *Report) note(path string, old, now *tree.Node) {
	i, found := slices.BinarySearchFunc(r.Changes, path, func(c tree.Change, path string) int { return comparePaths(c.Path, path) })
	if !found {
		r.Changes = slices.Insert(r.Changes, i, tree.Change{Path: path, Kind: tree.Changed, Old: old, New: now})
	}
	if c := &r.Changes[i]; c.Kind == tree.Changed && !slices.Contains(c.What, contentChange) {
		c.What = append(c.What, contentChange)
	}
}

// contentChange is tree's word for it.
const contentChange = "content"

// comparePaths orders paths as a walk does: what is in a directory comes right after it.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}
