package mtree

import (
	"context"
	"os"
	"path"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// File is a file of a manifest, with what is in it if it is a directory. Values come from OfTree and OfDir.
type File struct {
	name     string // of the file in its directory; "." for the root
	kind     unpack.Kind
	mode     uint32
	uid, gid uint32
	size     int64  // -1: not known
	links    uint64 // 0: not known
	sec      int64
	nsec     int64
	target   string        // of a symbolic link
	digest   digest.Digest // of a regular file's content; "" if it was not asked for
	xattrs   []unpack.Xattr
	children []*File // sorted by name
}

// OfTree gives the files of an image. The digests are there if the tree was made with content.
func OfTree(t *tree.Tree) *File { return filesOf(t, ofNode) }

// OfDir reads the files in an open directory as they are on disk, as tree.OfDir does. With content, files are
// hashed. Unlike the tree of an image the manifest has all xattrs that this process may see, also those that
// belong to the host.
func OfDir(ctx context.Context, dir *os.File, content bool) (*File, error) {
	t, err := tree.OfDir(ctx, dir, tree.DirOptions{Content: content, AsIs: true})
	if err != nil {
		return nil, err
	}
	return filesOf(t, onDisk), nil
}

// filesOf gives the files of a tree in the order of a manifest.
func filesOf(t *tree.Tree, of func(name string, n *tree.Node) *File) *File {
	open := map[string]*File{} // directories
	var root *File
	_ = t.Walk(func(p string, n *tree.Node) error { // in order, a directory first; no error is given
		f := of(path.Base(p), n)
		if p == "" {
			f.name, root = ".", f
		} else {
			dir := path.Dir(p)
			if dir == "." {
				dir = ""
			}
			open[dir].children = append(open[dir].children, f)
		}
		if n.Kind == unpack.Directory {
			open[p] = f
		}
		return nil
	})
	return root
}

// onDisk is a file with the size and the links that the disk has.
func onDisk(name string, n *tree.Node) *File {
	f := ofNode(name, n)
	f.size, f.links = n.Size, n.Links
	return f
}

func ofNode(name string, n *tree.Node) *File {
	f := &File{
		name: name, kind: n.Kind, mode: n.Mode, uid: n.UID, gid: n.GID, sec: n.Sec, nsec: int64(n.Nsec),
		target: n.Link, digest: n.Digest, xattrs: n.Xattrs, links: uint64(n.Names),
	}
	switch n.Kind {
	case unpack.Regular:
		f.size = n.Size
	case unpack.Directory:
		f.size, f.links = -1, 0
	case unpack.Symlink:
		f.size = int64(len(n.Link))
	}
	return f
}
