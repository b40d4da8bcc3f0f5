package verify

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// Options direct Rootfs. The zero value compares with blobs of which there are none, so that at least one of Blobs
// and Logs is needed.
type Options struct {
	Level Level // Metadata, Content or Exact; Content if zero. Marker is for Record.Differences.
	// Blobs gives the blobs of layers; they are proved. Nil, or an error: they are not at hand.
	Blobs unpack.Blobs
	// Logs gives the tar-split log of a layer, or fs.ErrNotExist. Nil: there are none.
	Logs func(image.Layer) (io.ReadCloser, error)
	How  How // as it was unpacked
	// Foreign says that another tool, or a container engine, made the directory: the attributes of directories that no
	// layer describes are then not compared.
	Foreign bool
	// Ignore lists paths, relative to the root, that are not looked at, with what is below them. The root itself stands for
	// its attributes alone, which engines like to set.
	Ignore []string
	Limits unpack.Limits
	Logger *slog.Logger // receives warnings; nil discards them
}

// Rootfs compares the root file system in an open directory with an image. That it is another is no error but in the
// report; an error says that it could not be found out: the layers cannot be read (ErrNoSource, or those of
// unpack.ReadLayer), or the tree is larger than the limits allow.
func Rootfs(ctx context.Context, img image.Image, root *os.File, o Options) (Report, error) {
	if o.Level == 0 {
		o.Level = Content
	}
	v := &verifier{o: o, img: img, root: root, workers: min(goruntime.GOMAXPROCS(0), 8), report: Report{Level: o.Level}}
	v.ignore()
	defer v.close()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return v.readLayers(gctx) })
	g.Go(func() error { return v.readDir(gctx) })
	if err := g.Wait(); err != nil {
		return Report{}, fail(root, err)
	}
	v.report.Changes = v.explain(tree.Diff(v.want, v.got, tree.DiffOptions{}))
	v.report.Paths = v.got.Len()
	for i, l := range img.Layers() {
		v.report.Layers = append(v.report.Layers, LayerReport{Index: i + 1, DiffID: l.DiffID, State: NotRead})
	}
	if o.Level >= Content {
		if err := v.contents(ctx); err != nil {
			return Report{}, fail(root, err)
		}
	}
	slices.SortFunc(v.report.Unread, func(a, b Unread) int { return comparePaths(a.Path, b.Path) })
	slices.Sort(v.report.Mounts)
	return v.report, nil
}

// fail names the directory in an error that says nothing of it.
func fail(root *os.File, err error) error {
	if own := (*Error)(nil); errors.As(err, &own) {
		return err
	}
	return &Error{Op: "verify", Subject: root.Name(), Err: err}
}

// verifier compares one root file system with one image.
type verifier struct {
	o       Options
	img     image.Image
	root    *os.File
	workers int
	ignored []string

	rootIgnored bool

	want, got *tree.Tree
	layers    []layerModel
	names     map[*tree.Node][]string // of files on disk that have several in the image

	mu     sync.Mutex // of what follows, and of what goes on beside it
	report Report
}

// ignore cleans the paths to ignore.
func (v *verifier) ignore() {
	for _, p := range v.o.Ignore {
		var comps []string
		for c := range strings.SplitSeq(p, "/") {
			if c != "" && c != "." {
				comps = append(comps, c)
			}
		}
		if len(comps) == 0 {
			v.rootIgnored = true
			continue
		}
		v.ignored = append(v.ignored, strings.Join(comps, "/"))
	}
}

// skip tells whether a path is ignored.
func (v *verifier) skip(path string) bool {
	return slices.ContainsFunc(v.ignored, func(p string) bool { return tree.Within(path, p) })
}

// readDir reads what is on disk, without content.
func (v *verifier) readDir(ctx context.Context) (err error) {
	v.got, err = tree.OfDir(ctx, v.root, tree.DirOptions{
		UIDMap: v.o.How.UIDMap, GIDMap: v.o.How.GIDMap, SingleID: v.o.How.SingleID,
		Entries: v.o.Limits.Entries, Depth: v.o.Limits.Depth, Skip: v.skip,
		Failed: func(path string, err error) error {
			v.unread(path, err)
			return nil
		},
	})
	if err == nil {
		err = v.got.Walk(func(path string, n *tree.Node) error {
			if n.Mount {
				v.report.Mounts = append(v.report.Mounts, path)
			}
			return nil
		})
	}
	return err
}

// unread notes a path that could not be read.
func (v *verifier) unread(path string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for inner := (*unpack.Error)(nil); errors.As(err, &inner); {
		err = inner.Err // the path is told already
	}
	v.report.Unread = append(v.report.Unread, Unread{path, err.Error()})
}
