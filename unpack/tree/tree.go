package tree

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/unpack"
)

// Node is one file. Two names of one file (hardlinks) share one Node.
type Node struct {
	Kind   unpack.Kind
	Mode   uint32 // permission bits and setuid, setgid, sticky; 0777 for a symbolic link
	UID    uint32
	GID    uint32
	Sec    int64 // modification time: seconds since the epoch
	Nsec   int32
	Size   int64  // bytes of a regular file
	Link   string // target of a symbolic link, verbatim
	Major  uint32 // of a device
	Minor  uint32
	Xattrs []unpack.Xattr // sorted by name
	// Digest is the sha256 of a regular file's content, "" if that was not asked for.
	Digest digest.Digest
	// Layer tells whose entry made the file, or gave a directory its attributes, last: 1 for the base
	// layer, 0 if none did (an implied directory, or a tree that was read from a disk).
	Layer int
	// Position is the place of that entry in the tar-split log of its layer, -1 if not known.
	Position int
	Implicit bool // a directory that no layer has an entry for
	Mount    bool // something is mounted there, and not looked into: nothing is known
	Names    int  // how many names the file has in the tree; 1 for a directory
	// Links is how many names the disk says that there are, also outside of the tree; 0 if that was not asked for.
	Links uint64

	children map[string]*Node
}

// Child gives what a directory holds under a name, nil if nothing.
func (n *Node) Child(name string) *Node { return n.children[name] }

// names gives the names in a directory, sorted.
func (n *Node) names() []string {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Tree is the files of an image or of a directory.
type Tree struct {
	Root *Node // a directory; never nil in a tree that this package gave
	len  int
}

// Len is the number of paths in the tree, the root among them.
func (t *Tree) Len() int { return t.len }

// Lookup gives the node at a path, relative to the root ("" is the root itself); nil if there is none. Symbolic
// links are not followed.
func (t *Tree) Lookup(path string) *Node {
	n := t.Root
	for rest := path; rest != "" && n != nil; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		n = n.children[name]
	}
	return n
}

// Walk calls each for every path of the tree, a directory before what is in it, and names in a
// directory sorted by bytes; "" is the root. It ends with the first error, which it returns.
func (t *Tree) Walk(each func(path string, n *Node) error) error {
	return walk("", t.Root, each)
}

func walk(path string, n *Node, each func(string, *Node) error) error {
	if err := each(path, n); err != nil {
		return err
	}
	for _, name := range n.names() {
		if err := walk(join(path, name), n.children[name], each); err != nil {
			return err
		}
	}
	return nil
}

// Within tells whether a path is dir or lies below it; everything lies below "".
func Within(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// join joins a path and a name.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
