package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// Has tells whether the store has the blob, with the size that d says. A file of another size counts
// as absent, so that it is fetched again; one that is no regular file is an error (ErrNotRegular).
func (s *Store) Has(ctx context.Context, d ispec.Descriptor) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	f, err := s.dir.OpenBlob(d)
	switch {
	case err == nil:
		return true, f.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, image.ErrSizeMismatch):
		return false, nil
	}
	return false, failed("look up blob", string(d.Digest), err)
}

// Open opens a blob for reading; what it gives is an *os.File. The size is the one of d, but the
// content is not proved: the reader does that while it reads (image.NewVerifier).
func (s *Store) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.dir.OpenBlob(d)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, failed("open blob", string(d.Digest), err)
	}
	return f, nil
}

// ReadBlob reads a whole blob and proves it. A descriptor that claims more than limit bytes is
// refused with image.ErrTooLarge before anything is read.
func (s *Store) ReadBlob(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, failed("read blob", string(d.Digest), image.TooLarge("read", d, limit))
	}
	f, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := image.ReadAll(f, d, limit)
	if err != nil {
		return nil, failed("read blob", string(d.Digest), err)
	}
	return raw, nil
}

// Discard deletes a blob, however many images use it. It is for one that was found to be damaged,
// so that the next pull fetches it again. One that is absent is no error.
func (s *Store) Discard(_ context.Context, d digest.Digest) error {
	if err := s.writable("discard blob", string(d)); err != nil {
		return err
	}
	if err := image.ValidateDigest(d); err != nil {
		return failed("discard blob", string(d), err)
	}
	err := s.dir.Root().Remove(layout.BlobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return failed("discard blob", d.String(), err)
}

// Image gives the image that d names: d itself if it is a manifest, else the one that the index
// has for the platform. The zero platform is that of this machine, and is then not asked of a
// manifest that is named directly. Everything on the way is proved.
func (s *Store) Image(ctx context.Context, d ispec.Descriptor, platform ispec.Platform) (image.Image, error) {
	asked := platform.OS != "" || platform.Architecture != ""
	if !asked {
		platform = image.HostPlatform()
	}
	w := walk{s: s, want: platform, seen: make(map[digest.Digest]bool)}
	img, err := w.image(ctx, d, asked, 0)
	if err != nil {
		return image.Image{}, failed("open image", string(d.Digest), err)
	}
	return img, nil
}

// walk follows indexes to a manifest. seen keeps it from looking at one twice.
type walk struct {
	s    *Store
	want ispec.Platform
	seen map[digest.Digest]bool
}

// image gives the image of d. check says that its config must be for the platform, because nothing
// on the way has said so.
func (w *walk) image(ctx context.Context, d ispec.Descriptor, check bool, depth int) (image.Image, error) {
	if depth > image.MaxIndexDepth {
		return image.Image{}, fmt.Errorf("%w: indexes within indexes, more than %d deep", image.ErrMalformed, image.MaxIndexDepth)
	}
	w.seen[d.Digest] = true
	if image.IsIndex(d.MediaType) {
		return w.index(ctx, d, depth)
	}
	raw, err := w.s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return image.Image{}, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return image.Image{}, err
	}
	if !image.IsConfig(m.Config.MediaType) {
		return image.New(d, raw, nil) // which says what it is instead
	}
	config, err := w.s.ReadBlob(ctx, m.Config, image.MaxConfigSize)
	if err != nil {
		return image.Image{}, err
	}
	img, err := image.New(d, raw, config)
	if err != nil {
		return image.Image{}, err
	}
	if has := img.Config().Platform; check && image.MatchPlatform(has, w.want) == 0 {
		return image.Image{}, fmt.Errorf("%w %s: it is for %s", image.ErrNoPlatform, image.FormatPlatform(w.want), image.FormatPlatform(has))
	}
	return img, nil
}

// index tries the candidates of an index in turn. Only those that turn out to be for another
// platform are passed over; a damaged one is an error.
func (w *walk) index(ctx context.Context, d ispec.Descriptor, depth int) (image.Image, error) {
	raw, err := w.s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return image.Image{}, err
	}
	x, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return image.Image{}, err
	}
	last := image.NoPlatform(x, w.want)
	for _, c := range image.Candidates(x, w.want) {
		if w.seen[c.Digest] {
			continue // listed twice; it was for another platform
		}
		img, err := w.image(ctx, c, !image.HasPlatform(c), depth+1)
		if err == nil || !errors.Is(err, image.ErrNoPlatform) {
			return img, err
		}
		last = err
	}
	return image.Image{}, last
}
