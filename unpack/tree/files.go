package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Files are a few small files of an image, read from its layers without unpacking them.
type Files struct {
	tree    *Tree
	content map[digest.Digest][]byte
}

// ErrNotKept is the error for a regular file that the image has, and Files was not asked to keep.
var ErrNotKept = errors.New("the content of this file was not kept")

// ReadFiles reads the layers of an image, base first, and keeps the content of the regular files that keep chooses by path and size in
// bytes: at most 32 MiB, of all layers together, else the error is unpack.ErrLimit. Errors are those of OfLayers.
func ReadFiles(ctx context.Context, layers []image.Layer, blobs unpack.Blobs, o Options, keep func(path string, size int64) bool) (*Files, error) {
	f := &Files{tree: New(), content: make(map[digest.Digest][]byte)}
	var kept int64
	budget := unpack.NewBudget(o.Limits)
	for i, layer := range layers {
		l := f.tree.Layer(i+1, o)
		_, err := unpack.ReadLayer(ctx, layer, blobs, unpack.Options{Limits: o.Limits, Budget: budget, Logger: o.Logger, Index: i + 1}, func(e *unpack.Entry, content io.Reader) error {
			if e.Kind != unpack.Regular || !keep(e.Path, e.Size) {
				return l.Add(e)
			}
			if kept += e.Size; kept > maxKept {
				return refuse(e.Path, spec.Clause{}, unpack.ErrLimit, "more than %d bytes of files to keep", maxKept)
			}
			raw, err := io.ReadAll(io.LimitReader(content, e.Size))
			if err == nil && int64(len(raw)) != e.Size {
				err = fmt.Errorf("%w: %d bytes of %d", unpack.ErrTar, len(raw), e.Size)
			}
			if err != nil {
				return err
			}
			d := digest.NewDigestFromBytes(digest.SHA256, sum(raw))
			f.content[d] = raw
			return l.AddContent(e, d)
		})
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return nil, unpack.Locate(err, layer.Descriptor.Digest, i+1)
		}
	}
	return f, nil
}

func sum(raw []byte) []byte {
	s := sha256.Sum256(raw)
	return s[:]
}

// Open opens a file by its path in the image; links are followed inside it. What is not there is fs.ErrNotExist.
func (f *Files) Open(name string) (io.ReadCloser, error) {
	n, err := f.tree.resolve(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	raw, ok := f.content[n.Digest]
	switch {
	case n.Kind != unpack.Regular:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("a %s, %w", n.Kind, errNotRegular)}
	case n.Digest == "" || !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotKept}
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

var (
	errNotRegular = errors.New("not a regular file")
	errLoop       = errors.New("too many levels of symbolic links")
)

// maxKept bounds what Files holds, of all layers together: 32 MiB.
const maxKept = 32 << 20

// resolve finds what a path leads to, links followed as if the root of the tree were that of the machine (chroot(2)).
func (t *Tree) resolve(name string) (*Node, error) {
	todo, done, links := strings.Split(name, "/"), "", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = strings.TrimPrefix(path.Dir("/"+done), "/")
			continue
		}
		next := strings.TrimPrefix(done+"/"+part, "/")
		n := t.Lookup(next)
		switch {
		case n == nil:
			return nil, fs.ErrNotExist
		case n.Kind == unpack.Symlink:
			if links++; links > maxLinks {
				return nil, errLoop
			}
			if strings.HasPrefix(n.Link, "/") {
				done = ""
			}
			todo = append(strings.Split(n.Link, "/"), todo...)
			continue
		case n.Kind != unpack.Directory && len(todo) > 0:
			return nil, fs.ErrNotExist
		}
		done = next
	}
	return t.Lookup(done), nil
}
