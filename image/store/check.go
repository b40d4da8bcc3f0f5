package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Problem is something in a store that must not be.
type Problem struct {
	Subject string // a digest, a name, or a path below the root
	Err     error  // why; matches the kinds of this package and of package image
}

// Report is what Check found.
type Report struct {
	Blobs    int       // that were hashed
	Bytes    int64     // that were hashed
	Names    int       // entries of index.json
	Layers   int       // directories of unpacked layers
	Problems []Problem // none: the store is valid
	Notes    []string  // what is odd but harmless: unfinished ingests, files of others
}

// OK tells whether the store is valid.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Check proves the whole store: the files of the layout, every blob by hashing it, and that each
// name leads to content that is there. What is found is in the Report; the error is for a Check
// that could not be done.
//
// A manifest that is absent from an index is no problem (image-layout.md allows it, and a pull takes
// one platform only), a config or layer that is absent from a manifest is one.
func (s *Store) Check(ctx context.Context) (Report, error) {
	hold, err := s.Hold(ctx) // blobs must not vanish between listing and reading
	if err != nil {
		return Report{}, err
	}
	defer hold.Release()
	c := &checker{s: s}
	if err := s.checkMarker(ctx); err != nil {
		c.problem(ispec.ImageLayoutFile, err)
	}
	for _, step := range []func(context.Context) error{c.blobs, c.names, c.ingests, c.layers} {
		if err := step(ctx); err != nil {
			return Report{}, failed("check", s.path, err)
		}
	}
	slices.SortFunc(c.r.Problems, func(a, b Problem) int { return cmp.Compare(a.Subject, b.Subject) })
	slices.Sort(c.r.Notes)
	return c.r, nil
}

type checker struct {
	s  *Store
	mu sync.Mutex // guards r while blobs are hashed
	r  Report
}

func (c *checker) problem(subject string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Problems = append(c.r.Problems, Problem{subject, err})
}

func (c *checker) note(format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Notes = append(c.r.Notes, fmt.Sprintf(format, a...))
}

// blobs hashes every blob.
func (c *checker) blobs(ctx context.Context) error {
	list, err := c.s.files()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(goruntime.GOMAXPROCS(0))
	for _, f := range list {
		if f.digest == "" {
			c.stranger(f)
			continue
		}
		g.Go(func() error { return c.blob(ctx, f) })
	}
	return g.Wait()
}

// stranger judges a file whose name is none of a blob that can be hashed here. The algorithm may be
// one of others; the name must keep the grammar of a digest all the same.
func (c *checker) stranger(f file) {
	algorithm, encoded := path.Base(path.Dir(f.name)), path.Base(f.name)
	if algorithm == ispec.ImageBlobsDir { // blobs/x: no algorithm at all
		algorithm = ""
	}
	err := digest.Digest(algorithm + ":" + encoded).Validate()
	if err == digest.ErrDigestUnsupported { //nolint:errorlint // returned as it is
		c.note("%s: not hashed, the algorithm is not known here", f.name)
		return
	}
	if err == nil { // sha384, which go-digest knows and image-spec does not
		c.note("%s: not hashed, the algorithm is not registered", f.name)
		return
	}
	c.problem(f.name, &Error{Op: "check", Subject: f.name, Clause: spec.LayoutBlobs, Err: fmt.Errorf("%w: not the name of a blob", image.ErrDigestInvalid)})
}

func (c *checker) blob(ctx context.Context, f file) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := ispec.Descriptor{Digest: f.digest, Size: f.info.Size()}
	err := c.proveBlob(ctx, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.problem(f.digest.String(), &Error{Op: "check blob", Subject: f.digest.String(), Clause: spec.LayoutBlobs, Err: err})
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Blobs++
	c.r.Bytes += f.info.Size()
	return nil
}

func (c *checker) proveBlob(ctx context.Context, d ispec.Descriptor) error {
	r, err := c.s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	v, err := image.NewVerifier(r, d)
	buf := make([]byte, 256<<10)
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = v.Read(buf)
		}
	}
	if err == io.EOF { //nolint:errorlint // a Verifier gives it as it is, once all is proved
		return nil
	}
	return err
}

// names follows every entry of index.json.
func (c *checker) names(ctx context.Context) error {
	x, err := c.s.readIndex(ctx)
	if err != nil {
		c.problem(ispec.ImageIndexFile, err)
		return ctx.Err()
	}
	g := &graph{
		s: c.s, reached: make(map[digest.Digest]bool), diffIDs: make(map[digest.Digest]bool),
		broken: func(d ispec.Descriptor, err error) error {
			c.problem(d.Digest.String(), err)
			return ctx.Err()
		},
		missing: func(parent, child ispec.Descriptor) error {
			if image.IsManifest(parent.MediaType) {
				err := fmt.Errorf("%w: %s, which it needs", ErrNotFound, child.Digest)
				c.problem(parent.Digest.String(), failed("check manifest", parent.Digest.String(), err))
			}
			return ctx.Err()
		},
	}
	for _, d := range c.s.lost(ctx, x) {
		c.note("%s: another tool has written over this name, which meant %s", quoted(d.Annotations[ispec.AnnotationRefName]), d.Digest)
	}
	for _, d := range x.Entries() {
		c.r.Names++
		name := d.Annotations[ispec.AnnotationRefName]
		if _, _, err := x.Find(name); err != nil && name != "" {
			c.problem(quoted(name), err)
		}
		ok, err := c.s.Has(ctx, d)
		if err == nil && !ok {
			err = fmt.Errorf("%w: %s", ErrNotFound, d.Digest)
		}
		if err != nil {
			c.problem(quoted(name), failed("check name", quoted(name), err))
			continue
		}
		if err := g.follow(ctx, d, 0); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ingests notes what is unfinished: it costs room, and harms nothing.
func (c *checker) ingests(context.Context) error {
	list, err := fs.ReadDir(c.s.dir.Root().FS(), ingestDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a layout of others has none
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		if strings.HasSuffix(e.Name(), checkpointSuffix) || strings.HasSuffix(e.Name(), ".new") {
			continue
		}
		if info, err := e.Info(); err == nil {
			c.note("%s: unfinished, %d bytes", path.Join(ingestDir, e.Name()), info.Size())
		}
	}
	return nil
}
