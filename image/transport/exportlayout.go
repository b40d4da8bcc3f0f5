package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// toLayout adds the images to a layout in a directory. Blobs come first and the entry of index.json
// last, by a rename: whatever happens in between, the layout is valid.
func (x *exporter) toLayout(ctx context.Context, items []Item, dest reference.Ref) error {
	list, err := x.collect(ctx, items)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dest.Path, 0o755); err != nil {
		return err
	}
	dir, err := layout.OpenDir(dest.Path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Several exports into one layout go one after the other; the lock needs no file of its own.
	lock, err := dir.Root().Open(".")
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := layout.Lock(ctx, lock, layout.Exclusive); err != nil {
		return err
	}
	if err := beginLayout(ctx, dir); err != nil {
		return err
	}
	if err := removePartial(dir); err != nil { // of an export that was killed
		return err
	}
	for _, b := range list {
		if err := x.putBlob(ctx, dir, b); err != nil {
			return err
		}
	}
	return dir.EditIndex(ctx, func(index *layout.Index) error { return x.enter(index, items) }, nil)
}

// beginLayout makes the files of an empty layout, unless it is one.
func beginLayout(ctx context.Context, dir *layout.Dir) error {
	marker, err := dir.Document(ctx, ispec.ImageLayoutFile, layout.MaxMarkerSize)
	if errors.Is(err, fs.ErrNotExist) {
		return newLayoutDir(dir)
	}
	if err == nil {
		err = layout.CheckMarker(marker)
	}
	if err != nil {
		return err
	}
	raw, err := dir.Document(ctx, ispec.ImageIndexFile, image.MaxManifestSize)
	if err == nil {
		_, err = layout.DecodeIndex(raw) // before anything is written
	}
	return err
}

// newLayoutDir makes a layout of a directory that has nothing else in it. The marker comes last.
func newLayoutDir(dir *layout.Dir) error {
	list, err := fs.ReadDir(dir.Root().FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range list {
		switch e.Name() {
		case ispec.ImageBlobsDir, ispec.ImageIndexFile, ispec.ImageIndexFile + ".new", ispec.ImageLayoutFile + ".new": // of an export that was killed
		default:
			return fmt.Errorf("%w: the directory is in use for something else (it has %.100q)", ErrNotLayout, e.Name())
		}
	}
	raw, err := layout.NewIndex().Encode()
	if err != nil {
		return err
	}
	if err := dir.Root().Mkdir(ispec.ImageBlobsDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := dir.Replace(ispec.ImageIndexFile, raw, 0o644); err != nil {
		return err
	}
	return dir.Replace(ispec.ImageLayoutFile, []byte(layout.Marker), 0o644)
}

// partial is where a blob is written before it is proved. The layout is locked, so there is one.
const partial = "blob.new"

func removePartial(dir *layout.Dir) error {
	if err := dir.Root().Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// putBlob writes one blob, unless the layout has it: then it is proved where it lies, and replaced if
// it is not right.
func (x *exporter) putBlob(ctx context.Context, dir *layout.Dir, d ispec.Descriptor) error {
	if f, err := dir.OpenBlob(d); err == nil {
		v, err := image.NewVerifier(f, d)
		if err == nil {
			err = v.Verify()
		}
		f.Close()
		if err == nil {
			x.o.Events.Emit(image.Event{Kind: image.EventReused, Ref: x.name, Descriptor: d, Bytes: d.Size, Total: d.Size})
			return nil
		}
	}
	f, err := dir.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(x.blob(ctx, d, f), f.Close())
	to := layout.BlobPath(d.Digest)
	if err == nil {
		if err = dir.Root().Mkdir(path.Dir(to), 0o755); err == nil || errors.Is(err, fs.ErrExist) {
			err = dir.Root().Rename(partial, to)
		}
	}
	if err != nil {
		return errors.Join(err, removePartial(dir))
	}
	return nil
}
