package tree

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Options direct OfLayers. The zero value is for a tree without content, read from blobs.
type Options struct {
	Content bool // hash the content of files: Node.Digest
	// Limits bound what a layer may make this package hold: Entries also bounds the paths of the
	// whole tree.
	Limits  unpack.Limits
	Devices unpack.DevicePolicy // of a device 0/0: an error, or left out
	Logger  *slog.Logger        // receives warnings; nil discards them
	// Logs gives the tar-split log of a layer that was unpacked before, or an error that is
	// fs.ErrNotExist: then, and with Content, the blob is read. Nil: blobs are read.
	Logs func(image.Layer) (io.ReadCloser, error)
}

// New gives the tree of no layers: a root with the attributes of one that no layer describes.
func New() *Tree {
	return &Tree{Root: &Node{Kind: unpack.Directory, Mode: 0o755, Implicit: true, Position: -1, Names: 1}, len: 1}
}

// OfLayers gives the tree that layers make, base first. A layer that is read from its blob is proved; errors
// are those of unpack.ApplyLayer, so far as they do not come from a file system.
func OfLayers(ctx context.Context, layers []image.Layer, blobs unpack.Blobs, o Options) (*Tree, error) {
	return nil, errors.ErrUnsupported
}

// Layer is a layer on its way into a tree: the tree changes when all its entries are known.
type Layer struct{ tree *Tree }

// Layer begins a layer; index is its place in the image, 1 for the base.
func (t *Tree) Layer(index int, o Options) *Layer { return &Layer{t} }

// Add takes the next entry of the layer.
func (l *Layer) Add(e *unpack.Entry) error { return errors.ErrUnsupported }

// Close lays the layer over the tree.
func (l *Layer) Close() error { return errors.ErrUnsupported }
