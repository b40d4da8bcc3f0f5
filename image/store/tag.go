package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// maxNameLength bounds a name: a registry name has at most 255 characters, a tag 128, a digest 135.
const maxNameLength = 1024

// Tagged is a name of the store and what it means.
type Tagged struct {
	Name       string // as given to Tag: usually the normal form of a reference; "" for an entry without a name
	Descriptor ispec.Descriptor
}

// Tag makes name mean d, whose content must be in the store and whose media type must be that of an
// index or a manifest. It replaces what the name meant before.
func (s *Store) Tag(ctx context.Context, name string, d ispec.Descriptor) error {
	if err := s.writable("tag", quoted(name)); err != nil {
		return err
	}
	if name == "" || len(name) > maxNameLength || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
		return &Error{Op: "tag", Subject: quoted(name), Clause: spec.LayoutIndex, Err: ErrName}
	}
	err := s.enter(ctx, d, func(x *layout.Index) error { return x.Set(name, d) })
	if errors.Is(err, syscall.EROFS) {
		if has, errHas := s.Resolve(ctx, name); errHas == nil && reflect.DeepEqual(layout.Unnamed(has), layout.Unnamed(d)) {
			return nil // nothing is to be written
		}
	}
	return failed("tag", quoted(name), err)
}

// Keep enters d, whose content must be in the store, without a name: an image that is known by its
// digest alone, which Prune keeps until Drop. Under whatever names it has it is entered besides.
func (s *Store) Keep(ctx context.Context, d ispec.Descriptor) error {
	if err := s.writable("keep", string(d.Digest)); err != nil {
		return err
	}
	return failed("keep", string(d.Digest), s.enter(ctx, d, func(x *layout.Index) error { return x.Add("", layout.Unnamed(d)) }))
}

// Drop takes away the entries without a name of a digest; ErrNotFound if there is none. The content
// stays until Prune.
func (s *Store) Drop(ctx context.Context, d digest.Digest) error {
	if err := s.writable("drop", string(d)); err != nil {
		return err
	}
	return failed("drop", string(d), s.edit(ctx, func(x *layout.Index) error {
		if x.RemoveUnnamed(d) == 0 {
			return ErrNotFound
		}
		return nil
	}))
}

// enter edits index.json for an entry of d, once it is proved that d can be one.
func (s *Store) enter(ctx context.Context, d ispec.Descriptor, change func(*layout.Index) error) error {
	if err := image.ValidateDescriptor(d); err != nil {
		return err
	}
	if !image.IsIndex(d.MediaType) && !image.IsManifest(d.MediaType) {
		return &Error{Op: "enter", Subject: d.Digest.String(), Clause: spec.LayoutIndex, Err: fmt.Errorf("%w %q", image.ErrMediaType, d.MediaType)}
	}
	hold, err := s.Hold(ctx) // from the look for the blob to the name that keeps it
	if err != nil {
		return err
	}
	defer hold.Release()
	ok, err := s.Has(ctx, d)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrNotFound, d.Digest)
	}
	if err != nil {
		return err
	}
	return s.edit(ctx, change)
}

// Untag takes a name away; its content stays until Prune. An unknown name gives ErrNotFound.
func (s *Store) Untag(ctx context.Context, name string) error {
	if err := s.writable("untag", quoted(name)); err != nil {
		return err
	}
	return failed("untag", quoted(name), s.edit(ctx, func(x *layout.Index) error {
		if name == "" || x.Remove(name) == 0 {
			return ErrNotFound
		}
		return nil
	}))
}

// Resolve gives what a name means. It gives ErrNotFound, or ErrAmbiguous if another tool gave the
// name to several contents.
func (s *Store) Resolve(ctx context.Context, name string) (ispec.Descriptor, error) {
	x, err := s.readIndex(ctx)
	if err != nil {
		return ispec.Descriptor{}, failed("resolve", quoted(name), err)
	}
	d, ok, err := x.Find(name)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return ispec.Descriptor{}, failed("resolve", quoted(name), err)
	}
	return d, nil
}

// Tags gives all entries of the store, sorted by name.
func (s *Store) Tags(ctx context.Context) ([]Tagged, error) {
	x, err := s.readIndex(ctx)
	if err != nil {
		return nil, failed("list names", s.path, err)
	}
	var list []Tagged
	for _, d := range x.Entries() {
		list = append(list, Tagged{Name: d.Annotations[ispec.AnnotationRefName], Descriptor: layout.Unnamed(d)})
	}
	slices.SortStableFunc(list, func(a, b Tagged) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
