package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// stack is the layers of an image.
type stack struct {
	where   string // its manifest
	config  string // its config; "" if that could not be judged
	layers  []described
	diffIDs []digest.Digest
}

// layerKey says what makes two layers one. One blob may be named by two media types.
type layerKey struct {
	digest    digest.Digest
	mediaType string
	algorithm digest.Algorithm // of the DiffID that is wanted
}

// key is the layer at a position of the stack.
func (s stack) key(i int) layerKey {
	k := layerKey{s.layers[i].Digest, s.layers[i].MediaType, digest.SHA256}
	if i < len(s.diffIDs) && image.ValidateDigest(s.diffIDs[i]) == nil {
		k.algorithm = s.diffIDs[i].Algorithm()
	}
	return k
}

// lookInside looks into the layers of all images, each layer once.
func (w *walker) lookInside(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2) // each is more than one goroutine
	for _, s := range w.stacks {
		for i, l := range s.layers {
			v := visit{target: l, where: s.where}
			if w.o.NoLayers || w.o.NoContent || !isLayer(l.MediaType) || !l.usable {
				if err := w.opaque(gctx, v); err != nil {
					return errors.Join(err, g.Wait())
				}
				continue
			}
			if w.layers[s.key(i)] != nil {
				continue
			}
			in := &inside{layer: image.Layer{Descriptor: l.Descriptor, DiffID: s.key(i).algorithm.FromString("")}, first: v}
			w.layers[s.key(i)] = in
			g.Go(func() error { return w.look(gctx, in) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	checked := map[string]bool{}
	for _, s := range w.stacks {
		w.compare(s)
		if err := w.outside(ctx, s, checked); err != nil {
			return err
		}
	}
	return nil
}

// compare compares the layers of an image with what manifest and config say of them.
func (w *walker) compare(s stack) {
	var found, wrong []digest.Digest
	var problems Problems
	for i, l := range s.layers {
		in := w.layers[s.key(i)]
		if in == nil {
			continue
		}
		if v := (visit{target: l, where: s.where}); v.where != in.first.where || l.pointer != in.first.target.pointer {
			w.met(v)
		}
		if in.found.Mislabelled {
			w.r.add(&Problem{
				Where: s.where, Pointer: under(l.pointer, "mediaType"), Clause: compressionClause(l.MediaType),
				Err:  fmt.Errorf("%w: %q, and the compression of the layer is %s", ErrMismatch, l.MediaType, in.found.Compression),
				Hint: "the media type of the compression, or the other way round",
			})
		}
		if !in.proved || i >= len(s.diffIDs) || image.ValidateDigest(s.diffIDs[i]) != nil {
			continue
		}
		found = append(found, in.found.DiffID)
		if in.found.DiffID != s.diffIDs[i] {
			wrong = append(wrong, s.diffIDs[i])
			problems = append(problems, &Problem{
				Where: s.config, Pointer: at("/rootfs/diff_ids", i), Clause: spec.ConfigDiffID,
				Err: fmt.Errorf("%w: the DiffID of layer %d is %s", ErrMismatch, i+1, in.found.DiffID), Hint: string(in.found.DiffID),
			})
		}
	}
	sorted := func(list []digest.Digest) []digest.Digest { return slices.Sorted(slices.Values(list)) }
	if len(wrong) > 0 && len(found) == len(s.layers) && len(s.layers) == len(s.diffIDs) && slices.Equal(sorted(found), sorted(s.diffIDs)) {
		w.r.add(&Problem{
			Where: s.where, Pointer: "/layers", Clause: spec.ManifestLayerOrder,
			Err: fmt.Errorf("%w: the layers are in another order than rootfs.diff_ids of the config", ErrMismatch), Hint: "the base first, and each above the one before",
		})
		return
	}
	for _, p := range problems {
		w.r.add(p)
	}
}

// outside looks for the targets of hardlinks that are in no layer of their own, in the layers below.
func (w *walker) outside(ctx context.Context, s stack, checked map[string]bool) error {
	stackID := ""
	for i := range s.layers {
		in := w.layers[s.key(i)]
		stackID += " " + string(s.layers[i].Digest)
		if in == nil || !in.proved || len(in.links) == 0 || checked[stackID] {
			continue
		}
		checked[stackID] = true
		below, whole, err := w.lookBelow(ctx, s, i, in.links)
		if err != nil {
			return err
		}
		j := newLayerJudge(w.place(in.layer.Descriptor.Digest))
		for _, l := range in.links {
			switch {
			case below[l.target] || !whole:
				j.add(l.name, spec.LayerHardlink, "the file in the same layer", ErrUnusual, "a hardlink to %q of a lower layer, which may fail", clip(l.target))
			case l.later:
				j.add(l.name, spec.LayerDangling, "the target before the link", ErrInvalid, "a hardlink to %q, which comes after it", clip(l.target))
			default:
				j.add(l.name, spec.LayerDangling, "the path of a file", ErrInvalid, "a hardlink to %q, which neither this layer nor one below has", clip(l.target))
			}
		}
		for _, p := range j.finish() {
			w.r.add(p)
		}
	}
	return nil
}

// lookBelow tells which targets are paths of layers below position top. Symbolic links, its own too, on the way to a target can make it another path:
// such a target counts as found. whole is false if not every layer could be read.
func (w *walker) lookBelow(ctx context.Context, s stack, top int, links []link) (found map[string]bool, whole bool, err error) {
	found = map[string]bool{}
	wanted, prefixes := map[string]bool{}, map[string][]string{}
	for _, l := range links {
		wanted[l.target] = true
		for dir := parent(l.target); dir != ""; dir = parent(dir) {
			prefixes[dir] = append(prefixes[dir], l.target)
		}
	}
	whole = true
	for i := range top + 1 {
		in := w.layers[s.key(i)]
		if in == nil || !in.proved {
			whole = false
			continue
		}
		rc, err := w.open(ctx, in.first)
		if err != nil {
			return nil, false, err
		}
		if rc == nil {
			whole = false
			continue
		}
		_, err = unpack.InspectLayer(ctx, in.layer, one{rc}, unpack.Options{Limits: w.o.Limits}, func(m *unpack.Member) error {
			if m.Entry == nil {
				return nil
			}
			p := m.Entry.Path
			if i < top && wanted[p] && m.Entry.Kind != unpack.Directory {
				found[strings.Clone(p)] = true
			} else if m.Entry.Kind == unpack.Symlink {
				for _, target := range prefixes[p] {
					found[target] = true
				}
			}
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	return found, whole, nil
}
