package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// openStore opens the store for reading and writing, and makes it if need be.
func (a *app) openStore(ctx context.Context) (*store.Store, error) {
	root, err := a.storeRoot()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, root, store.Options{})
}

// viewStore opens the store for reading; nil, without an error, when there is none yet.
func (a *app) viewStore(ctx context.Context) (*store.Store, error) {
	root, err := a.storeRoot()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, root, store.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return s, err
}

// minPrefix is how many digits of a digest name an image, at least.
const minPrefix = 6

// find gives the entry of the store that a person names: by reference, by its name as it is stored,
// or by the first digits of its digest.
func find(ctx context.Context, s *store.Store, arg string) (store.Tagged, error) {
	return findBy(ctx, s, arg, networkFlags{})
}

// findBy is find with flags that may name another registries.conf.
func findBy(ctx context.Context, s *store.Store, arg string, n networkFlags) (store.Tagged, error) {
	names, err := storedNames(arg, n)
	if err != nil {
		return store.Tagged{}, err
	}
	missing := &missingError{arg: arg, name: names[0]}
	if s == nil {
		return store.Tagged{}, missing
	}
	missing.root = s.Root()
	for _, name := range names {
		d, err := s.Resolve(ctx, name)
		if err == nil {
			return store.Tagged{Name: name, Descriptor: d}, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return store.Tagged{}, err
		}
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return store.Tagged{}, err
	}
	for _, t := range tags {
		if byDigest(arg, t) {
			return t, nil
		}
	}
	for _, t := range tags {
		missing.names = append(missing.names, t.Name)
	}
	return store.Tagged{}, missing
}

// byDigest tells whether arg is the digest of an entry, or its first digits.
func byDigest(arg string, t store.Tagged) bool {
	prefix := strings.TrimPrefix(arg, "sha256:")
	return arg != t.Name && len(prefix) >= minPrefix && strings.HasPrefix(t.Descriptor.Digest.Encoded(), prefix)
}

// missingError is a name that the store does not have: what was asked for, what that means in full, and
// where it was looked for. It matches store.ErrNotFound.
type missingError struct {
	arg, name, root string
	names           []string // what the store has
}

// Error gives "arg: not found: name in the store root".
func (e *missingError) Error() string {
	text := e.arg + ": " + store.ErrNotFound.Error()
	if e.name != e.arg {
		text += ": " + e.name
	}
	if e.root == "" {
		return text + " (there is no store yet)"
	}
	return text + " in the store " + e.root
}

// Unwrap gives the kind.
func (e *missingError) Unwrap() error { return store.ErrNotFound }

// anyImage is the image of d for platform or, when none is asked for and this machine's is not
// there, the first of an index that is: what was pulled for another machine can be looked at.
func anyImage(ctx context.Context, s *store.Store, d ispec.Descriptor, platform ispec.Platform) (image.Image, error) {
	img, err := s.Image(ctx, d, platform)
	if err == nil || platform.OS != "" || !image.IsIndex(d.MediaType) {
		return img, err
	}
	raw, errRead := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if errRead != nil {
		return img, err
	}
	idx, errRead := image.DecodeIndex(raw, d.MediaType)
	if errRead != nil {
		return img, err
	}
	for _, m := range idx.Manifests {
		if other, errOther := s.Image(ctx, m, ispec.Platform{}); errOther == nil {
			return other, nil
		}
	}
	return img, err
}

// imageSize is the size of what has to be fetched: manifest, config and layers as they are stored.
func imageSize(img image.Image) int64 {
	n := img.Descriptor().Size + img.Manifest().Config.Size
	for _, l := range img.Layers() {
		n += l.Descriptor.Size
	}
	return n
}

// parsePlatform reads --platform; "" is the zero platform, this machine's.
func parsePlatform(s string) (ispec.Platform, error) {
	if s == "" {
		return ispec.Platform{}, nil
	}
	return image.ParsePlatform(s)
}
