package validate

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/transport"
)

// Layout judges an image layout, in a directory, a zip or a tar, compressed or not: its files, everything that index.json leads to, and
// every blob whether it is reached or not. The error is for what could not be judged; what is wrong is in the Report.
func Layout(ctx context.Context, name string, o Options) (Report, error) {
	set, err := transport.OpenFiles(ctx, name)
	if err != nil {
		return Report{}, &Error{Op: "validate layout", Subject: name, Err: err}
	}
	defer set.Close()
	l := &layoutJudge{set: set, files: map[string]transport.File{}}
	for _, f := range set.List() {
		l.files[f.Name] = f
	}
	l.walker = newWalker(newReporter(), l, o)
	l.clause, l.sizeOf, l.listed = spec.LayoutBlobs, l.size, true
	l.place = func(d digest.Digest) string { return layout.BlobPath(d) }
	if err := l.judge(ctx); err != nil {
		return Report{}, &Error{Op: "validate layout", Subject: name, Err: err}
	}
	return l.r.done(), nil
}

// layoutJudge is a layout, and the Blobs of it.
type layoutJudge struct {
	*walker
	set   *transport.FileSet
	files map[string]transport.File
}

// Open implements Blobs. Content of another size than the descriptor says is content all the same.
func (l *layoutJudge) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	rc, _, err := l.set.Open(layout.BlobPath(d.Digest))
	return rc, err
}

func (l *layoutJudge) size(d digest.Digest) int64 { return l.files[layout.BlobPath(d)].Size }

func (l *layoutJudge) judge(ctx context.Context) error {
	l.list()
	if d, n, err := l.top(ispec.ImageLayoutFile, layoutType); err != nil {
		return err
	} else if n != nil {
		d.layoutHeader(n)
	}
	d, n, err := l.top(ispec.ImageIndexFile, ispec.MediaTypeImageIndex)
	if err != nil {
		return err
	}
	if n != nil {
		d.index = true
		l.below(d.indexDocument(n, ispec.MediaTypeImageIndex), d.where)
	}
	if err := l.run(ctx); err != nil {
		return err
	}
	return l.rest(ctx)
}

// tell adds a problem of a file.
func (l *layoutJudge) tell(where string, c spec.Clause, hint string, kind error, format string, args ...any) {
	(&doc{r: l.r, where: where}).add("", c, hint, kind, format, args...)
}

// list judges which files there are.
func (l *layoutJudge) list() {
	if f, ok := l.files[ispec.ImageBlobsDir]; !ok || !f.Type.IsDir() && f.Type != fs.ModeSymlink {
		l.tell(ispec.ImageBlobsDir, spec.LayoutFiles, "a directory, which may be empty", ErrMissing, "no directory blobs")
	}
	for _, f := range l.set.List() {
		depth := strings.Count(f.Name, "/")
		known := f.Name == ispec.ImageLayoutFile || f.Name == ispec.ImageIndexFile || f.Name == ispec.ImageBlobsDir || strings.HasPrefix(f.Name, ispec.ImageBlobsDir+"/")
		if !known { // additional files are allowed
			continue
		}
		if f.Twice {
			l.tell(f.Name, spec.LayoutRegular, "each name once", ErrUnusual, "the archive has this name more than once, and readers may take one or the other")
		}
		if f.Type == fs.ModeSymlink {
			l.tell(f.Name, spec.LayoutRegular, "what it leads to, as a file or a directory", ErrUnusual, "a symbolic link, which not every transport of a layout has; it is not followed")
			continue
		}
		if strings.HasPrefix(f.Name, ispec.ImageBlobsDir+"/") {
			l.blobName(f, depth)
		}
	}
}

// blobName judges the name of a file below blobs.
func (l *layoutJudge) blobName(f transport.File, depth int) {
	algorithm, encoded := path.Base(path.Dir(f.Name)), path.Base(f.Name)
	const hint = "blobs/ALGORITHM/ENCODED, such as blobs/sha256/ and 64 digits of lower case hex"
	switch length := encodedLength(algorithm); {
	case depth == 1 && !f.Type.IsDir():
		l.tell(f.Name, spec.LayoutName, hint, ErrInvalid, "blobs lie in a directory for each algorithm")
	case depth == 1 && !algorithmGrammar(encoded):
		l.tell(f.Name, spec.LayoutName, hint, ErrInvalid, "%q is no name of an algorithm", clip(encoded))
	case depth == 1:
	case f.Type != 0:
		l.tell(f.Name, spec.LayoutName, "a regular file, or nothing", ErrInvalid, "not a regular file but %s", f.Type)
	case !encodedGrammar(encoded), length > 0 && (len(encoded) != length || !of(encoded, digits+"abcdef")):
		l.tell(f.Name, spec.LayoutName, hint, ErrInvalid, "%q is not what a %s is encoded as", clip(encoded), clip(algorithm))
	}
}

// top reads one of the two documents that a layout begins with.
func (l *layoutJudge) top(name, mediaType string) (*doc, *node, error) {
	d := &doc{r: l.r, where: name}
	f, ok := l.files[name]
	if !ok || f.Type != 0 {
		if !ok || f.Type != fs.ModeSymlink {
			l.tell(name, spec.LayoutFiles, "a file with a JSON object", ErrMissing, "no file %s", name)
		}
		return d, nil, nil
	}
	rc, _, err := l.set.Open(name)
	if err != nil {
		return d, nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, image.MaxManifestSize+1))
	if err != nil {
		return d, nil, err
	}
	return d, d.parse(raw, mediaType), nil
}

// rest proves the blobs that nothing led to, and tells of them.
func (l *layoutJudge) rest(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, f := range l.set.List() {
		d := digest.Digest(path.Base(path.Dir(f.Name)) + ":" + path.Base(f.Name))
		if path.Dir(path.Dir(f.Name)) != ispec.ImageBlobsDir || f.Type != 0 || !digestGrammar(string(d)) {
			continue
		}
		known := image.ValidateDigest(d) == nil
		if known && l.isKnown(d) {
			continue
		}
		l.tell(f.Name, spec.LayoutExtra, "nothing: that is allowed", ErrUnusual, "nothing that index.json leads to names this blob")
		if !known || l.o.NoContent {
			continue
		}
		g.Go(func() error {
			rc, size, err := l.set.Open(f.Name)
			if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			defer rc.Close()
			return l.prove(ctx, visit{target: described{Descriptor: ispec.Descriptor{Digest: d, Size: size}}}, rc)
		})
	}
	return g.Wait()
}
