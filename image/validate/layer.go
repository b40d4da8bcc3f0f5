package validate

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

const (
	// maxEntries is how many entries of a layer are told for one clause: a layer that breaks one, breaks it often.
	maxEntries = 10
	// maxLinks bounds the hardlinks to files of lower layers that are followed.
	maxLinks = 10_000
)

// What is known of a path of a layer.
const (
	present   = 1 << iota // an entry has it
	linkable              // it is no directory, and no whiteout
	populated             // it is a directory in which the layer has put something
)

// layerJudge looks at the entries of one layer, in order.
type layerJudge struct {
	where    string
	problems Problems
	told     map[spec.Clause]int
	// paths holds hashes, which are shorter than names: two of 64 bits with seeds of this process, so that no image can make two names one.
	paths map[[2]uint64]byte
	seeds [2]maphash.Seed
	links []link // to what no entry before was
	lost  int    // links beyond maxLinks
}

// link is a hardlink whose target is not in the layer before it.
type link struct {
	name, target string // the name as the tar has it, the target clean
	later        bool   // an entry after it is the target
}

func newLayerJudge(where string) *layerJudge {
	return &layerJudge{
		where: where, told: map[spec.Clause]int{}, paths: map[[2]uint64]byte{},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

func (j *layerJudge) key(name string) [2]uint64 {
	return [2]uint64{maphash.String(j.seeds[0], name), maphash.String(j.seeds[1], name)}
}

func (j *layerJudge) add(entry string, c spec.Clause, hint string, kind error, format string, args ...any) {
	if j.told[c]++; j.told[c] > maxEntries {
		return
	}
	if entry == "" {
		entry = "./"
	}
	j.problems = append(j.problems, &Problem{
		Where: j.where, Entry: entry[:min(len(entry), 4096)], Clause: c, Hint: hint, Err: fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...)),
	})
}

// member judges one header.
func (j *layerJudge) member(m *unpack.Member) error {
	if strings.HasPrefix(m.Name, "/") {
		j.add(m.Name, spec.LayerRelative, "a name relative to the root, such as "+clip(strings.TrimLeft(m.Name, "/")), ErrUnusual, "the name is absolute")
	}
	if m.Skipped != "" {
		j.add(m.Name, spec.LayerFileType, "files, directories, links, devices and FIFOs", ErrUnusual, "%s", m.Skipped)
	}
	if m.Err != nil {
		j.refused(m)
	}
	e := m.Entry
	if e == nil {
		return nil
	}
	for _, x := range m.HostXattrs {
		j.add(m.Name, spec.LayerHostXattr, "leave it out", ErrUnusual, "the xattr %s belongs to the host, or to the file system under it", clip(x))
	}
	for _, odd := range m.LeftOut {
		j.add(m.Name, spec.LayerHostXattr, "ids in ACLs, as numbers", ErrUnusual, "%s", odd)
	}
	if e.Sparse {
		j.add(m.Name, spec.LayerSparse, "the file with its zeros", ErrUnusual, "a sparse file, which not every reader of tars understands")
	}
	if e.Kind == unpack.CharDevice && e.Major == 0 && e.Minor == 0 {
		j.add(m.Name, spec.LayerRepresenting, "a whiteout, "+clip(path.Join(path.Dir(e.Path), ".wh."+path.Base(e.Path))), ErrInvalid, "the device 0:0 is the whiteout of overlayfs, not of a layer")
	}
	j.role(m)
	j.path(m)
	return nil
}

// refused tells why a layer with this entry cannot be unpacked.
func (j *layerJudge) refused(m *unpack.Member) {
	c, why := spec.LayerTar, m.Err
	var e *unpack.Error
	if errors.As(m.Err, &e) {
		why = e.Err
		if e.Clause != (spec.Clause{}) {
			c = e.Clause
		}
	}
	kind, hint := ErrInvalid, "leave it out"
	switch {
	case errors.Is(m.Err, unpack.ErrLimit):
		c, kind, hint = spec.Clause{}, ErrTooLarge, "a smaller one, or a higher limit"
	case c == spec.LayerHardlink: // of which the text only says that it may fail: out of the root it does
		c, hint = spec.LayerDangling, "the path of a file in the layer"
	case errors.Is(m.Err, unpack.ErrUnsafePath):
		hint = "a name relative to the root, without empty or .. components"
	}
	j.add(m.Name, c, hint, kind, "%v", why)
}

// role judges whiteouts.
func (j *layerJudge) role(m *unpack.Member) {
	e := m.Entry
	switch e.Role {
	case unpack.Whiteout, unpack.Opaque:
		if e.Kind != unpack.Regular || e.Size != 0 {
			j.add(m.Name, spec.LayerWhiteoutFile, "an empty regular file", ErrInvalid, "a whiteout that is a %s of %d bytes", e.Kind, e.Size)
		}
		if j.paths[j.key(parent(e.Path))]&populated != 0 {
			j.add(m.Name, spec.LayerWhiteoutOrder, "whiteouts before what else is in the directory", ErrUnusual, "a whiteout after a sibling")
		}
		if e.Role == unpack.Opaque {
			j.add(m.Name, spec.LayerExplicit, "a whiteout for each name that is hidden", ErrUnusual, "an opaque whiteout")
		}
	case unpack.AUFSHidden, unpack.AUFSLink:
		j.add(m.Name, spec.LayerAUFS, "leave it out", ErrUnusual, "a file of AUFS's own, which is not shown")
	}
}

// parent is the directory of a clean path; "" for the root.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// path judges what an entry's name means beside those before it.
func (j *layerJudge) path(m *unpack.Member) {
	e := m.Entry
	key := j.key(e.Path)
	if j.paths[key]&present != 0 {
		j.add(m.Name, spec.LayerDuplicate, "each path once", ErrInvalid, "the layer has this path already")
	}
	if e.Kind == unpack.Hardlink {
		j.hardlink(m)
	}
	j.paths[key] |= present
	if e.Kind != unpack.Directory && e.Role != unpack.Whiteout && e.Role != unpack.Opaque {
		j.paths[key] |= linkable
	}
	if e.Role == unpack.Ordinary && e.Path != "" {
		j.paths[j.key(parent(e.Path))] |= populated
	}
}

func (j *layerJudge) hardlink(m *unpack.Member) {
	switch known := j.paths[j.key(m.Entry.Link)]; {
	case known&linkable != 0:
	case known&present != 0:
		j.add(m.Name, spec.LayerDangling, "the path of a file", ErrInvalid, "a hardlink to %q, which is a directory or a whiteout", clip(m.Entry.Link))
	case len(j.links) < maxLinks:
		j.links = append(j.links, link{name: m.Name, target: m.Entry.Link})
	default:
		j.lost++
	}
}

// finish gives the problems, and how many were left out of each clause.
func (j *layerJudge) finish() Problems {
	for i, l := range j.links {
		j.links[i].later = j.paths[j.key(l.target)]&linkable != 0
	}
	for _, p := range j.problems {
		if more := j.told[p.Clause] - maxEntries; more > 0 {
			p.Err = fmt.Errorf("%w (and %d more entries)", p.Err, more)
			j.told[p.Clause] = 0 // at the first
		}
	}
	return j.problems
}

// inside is what was found in a layer.
type inside struct {
	layer  image.Layer // its DiffID names the algorithm
	first  visit       // where it was met first
	found  unpack.Inspected
	proved bool // found is all of it
	links  []link
}

// look reads a layer.
func (w *walker) look(ctx context.Context, in *inside) error {
	rc, err := w.open(ctx, in.first)
	if rc == nil || err != nil {
		return err
	}
	j := newLayerJudge(w.place(in.layer.Descriptor.Digest))
	in.found, err = unpack.InspectLayer(ctx, in.layer, one{rc}, unpack.Options{Limits: w.o.Limits}, j.member)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, image.ErrSizeMismatch), errors.Is(err, image.ErrDigestMismatch):
		return w.again(ctx, in) // what is in another blob is of no interest
	}
	w.note(in.layer.Descriptor.Digest, content{size: in.layer.Descriptor.Size, proved: true})
	w.r.count(func(r *Report) { r.Blobs++; r.Layers++; r.Bytes += in.layer.Descriptor.Size })
	in.proved, in.links = err == nil, j.links
	for _, p := range j.finish() {
		w.r.add(p)
	}
	if err != nil {
		return w.unreadable(in, err)
	}
	return nil
}

// again proves a blob that is not what its descriptor says, to tell what it is.
func (w *walker) again(ctx context.Context, in *inside) error {
	rc, err := w.open(ctx, in.first)
	if rc == nil || err != nil {
		return err
	}
	defer rc.Close()
	return w.prove(ctx, in.first, rc)
}

// unreadable tells of a layer that could not be read to its end.
func (w *walker) unreadable(in *inside, err error) error {
	why := err
	if e := (*unpack.Error)(nil); errors.As(err, &e) {
		why = e.Err
	}
	p := &Problem{Where: w.place(in.layer.Descriptor.Digest), Clause: spec.LayerTar, Err: fmt.Errorf("%w: %w", ErrLayer, why)}
	switch {
	case errors.Is(err, unpack.ErrTar):
		p.Hint = "a tar archive of POSIX form"
	case errors.Is(err, unpack.ErrCompression):
		p.Clause, p.Hint = compressionClause(in.layer.Descriptor.MediaType), "a tar, or one compressed by gzip or zstd"
	case errors.Is(err, unpack.ErrLimit):
		p.Clause, p.Err, p.Hint = spec.Clause{}, fmt.Errorf("%w: %w", ErrTooLarge, why), "a smaller layer, or a higher limit"
	default:
		return err
	}
	w.r.add(p)
	return nil
}

// compressionClause is the clause that says what a layer of a media type is.
func compressionClause(mediaType string) spec.Clause {
	switch c, _ := image.LayerCompression(mediaType); c {
	case image.Gzip:
		return spec.LayerGzip
	case image.Zstd:
		return spec.LayerZstd
	}
	return spec.LayerTar
}

// one is Blobs for one blob that is open already.
type one struct{ io.ReadCloser }

// Open implements unpack.Blobs.
func (o one) Open(context.Context, ispec.Descriptor) (io.ReadCloser, error) { return o.ReadCloser, nil }
