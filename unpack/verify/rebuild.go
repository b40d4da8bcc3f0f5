package verify

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/internal/isocrc"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// proveLayers finds out about each layer whether its content is on disk.
func (v *verifier) proveLayers(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(v.workers)
	for i := range v.layers {
		g.Go(func() error { return v.proveLayer(gctx, &v.layers[i], &v.report.Layers[i]) })
	}
	return g.Wait()
}

// proveLayer finds out about one layer.
func (v *verifier) proveLayer(ctx context.Context, m *layerModel, r *LayerReport) error {
	if m.log == nil { // its files were compared by digests of a blob that was proved
		v.judge(m, r)
		return nil
	}
	d, err := v.newDisk()
	if err != nil {
		return err
	}
	defer d.close()
	if hidden := len(m.entries) - len(m.paths); hidden > 0 && v.o.Level < Exact {
		// The blob has to be read anyway, and its DiffID is proved by that: to put the tar together too would be dearer.
		switch err := compareBlob(ctx, v, m, d, true); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			r.Hidden = hidden
			v.judge(m, r)
			return nil
		}
	}
	b := &rebuild{v: v, m: m, disk: d, report: r}
	if err := b.run(ctx); err != nil {
		return err
	}
	if b.got == m.layer.DiffID {
		r.State, r.Rebuilt = Proved, true
		return nil
	}
	if m.spool != nil { // digests tell which files differ
		v.judge(m, r)
		if r.State == Proved {
			r.State, r.Why = Unproved, b.why()
		}
		return nil
	}
	return b.blame(ctx)
}

// judge decides about a layer by the changes to its files.
func (v *verifier) judge(m *layerModel, r *LayerReport) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, c := range v.report.Changes {
		if c.Old != nil && c.Old.Layer == m.index && contentLost(c) {
			n++
		}
	}
	r.State = Proved
	if n > 0 {
		r.State, r.Why = Differs, fmt.Sprintf("%d of its files have other content, or are gone", n)
	}
	for _, u := range v.report.Unread {
		if w := v.want.Lookup(u.Path); n == 0 && w != nil && w.Layer == m.index {
			r.State, r.Why = Unproved, fmt.Sprintf("%q could not be read", "/"+u.Path)
		}
	}
}

// contentLost tells whether a change takes content of a layer from the disk.
func contentLost(c tree.Change) bool {
	if c.Old.Kind != unpack.Regular || c.Old.Size == 0 {
		return false
	}
	return c.Kind == tree.Removed || slices.ContainsFunc(c.What, func(what string) bool {
		return what == contentChange || strings.HasPrefix(what, "size ") || strings.HasPrefix(what, "type ")
	})
}

// rebuild puts the tar of a layer together.
type rebuild struct {
	v      *verifier
	m      *layerModel
	disk   *disk
	report *LayerReport
	got    digest.Digest // "" if something was missing
	lacks  string        // the first that was
	bad    []compared    // files that have another sum than the log says
	hash   hash.Hash
	blob   *hiddenContent
}

// run reads the log and asks disk, or blob, for the content of files.
func (b *rebuild) run(ctx context.Context) error {
	h, err := image.NewHash(b.m.layer.DiffID)
	if err != nil {
		return err
	}
	b.hash = h
	log, err := b.m.log()
	if err != nil {
		return err
	}
	defer log.Close()
	defer func() { b.blob.close() }()
	segment := func(raw []byte) error {
		_, err := h.Write(raw)
		return err
	}
	o := unpack.Options{Limits: b.v.o.Limits, Index: b.m.index}
	if err := unpack.ReplayLog(ctx, log, o, segment, func(f unpack.LogFile) error { return b.file(ctx, f) }); err != nil {
		if ctx.Err() != nil {
			return err
		}
		b.missing(err.Error())
	}
	if err := b.blob.end(); err != nil {
		b.missing(err.Error())
	}
	if b.lacks == "" {
		b.got = digest.NewDigest(b.m.layer.DiffID.Algorithm(), h)
	}
	return ctx.Err()
}

// missing notes why the tar is not whole.
func (b *rebuild) missing(why string) {
	if b.lacks == "" {
		b.lacks = why
	}
}

// file gives the content of one file.
func (b *rebuild) file(ctx context.Context, f unpack.LogFile) error {
	path, ok := b.m.paths[f.Position]
	if !ok {
		b.hidden(ctx, f)
		return nil
	}
	want, got := b.v.want.Lookup(path), b.v.got.Lookup(path)
	if want.Size != f.Size {
		b.missing("the log contradicts itself")
		return nil
	}
	sum := &summer{w: b.hash}
	err := b.disk.copy(ctx, path, f.Size, sum)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		b.missing(fmt.Sprintf("%q could not be read", "/"+path))
	}
	if b.m.spool != nil { // compared by digests already
		return nil
	}
	b.v.compared(compared{path, want, got}, true, err)
	if err == nil && sum.sum != f.Sum {
		b.bad = append(b.bad, compared{path, want, got})
	}
	return nil
}

// summer sums up what it passes on.
type summer struct {
	w   io.Writer
	sum uint64
}

func (s *summer) Write(p []byte) (int, error) {
	s.sum = isocrc.Update(s.sum, p)
	return s.w.Write(p)
}

// hidden gives the content of a file that is not on disk: upper layers hide it, or it was changed.
func (b *rebuild) hidden(ctx context.Context, f unpack.LogFile) {
	b.report.Hidden++
	if b.lacks != "" {
		return
	}
	if b.blob == nil {
		b.blob = openHidden(ctx, b.v, b.m)
	}
	if err := b.blob.copy(ctx, b.hash, f.Size); err != nil {
		b.missing(err.Error())
	}
}

// why says why the tar has not the DiffID.
func (b *rebuild) why() string {
	if b.lacks != "" {
		return b.lacks
	}
	return "the tar of its log and the files on disk has the digest " + b.got.String()
}

// blame finds out what differs in a layer whose tar could not be put together, or is another. Sums of the log have told
// already what accidents changed; the blob tells all.
func (b *rebuild) blame(ctx context.Context) error {
	err := compareBlob(ctx, b.v, b.m, b.disk, false)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		b.v.mu.Lock()
		for _, c := range b.bad {
			b.v.note(c)
		}
		b.v.mu.Unlock()
	}
	b.v.judge(b.m, b.report)
	switch {
	case b.report.State == Differs:
	case err != nil:
		b.report.State, b.report.Why = Unproved, b.why()
		if b.lacks == "" || !errors.Is(err, ErrNoSource) {
			b.report.Why += "; " + err.Error()
		}
	case b.v.o.Level >= Exact && b.lacks == "":
		b.report.State, b.report.Why = Unproved, b.why()+", though its files are those of the blob: its log is damaged"
	case b.v.o.Level >= Exact:
		b.report.State, b.report.Why = Unproved, b.why()
	}
	return nil
}
