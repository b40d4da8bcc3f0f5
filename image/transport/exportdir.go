package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// What the file "version" of skopeo's directories begins with, and what it has in one with digests
// of sha256 alone.
const (
	directoryMarker  = "Directory Transport Version: "
	directoryVersion = directoryMarker + "1.1\n"
)

// manifestFile is what the document that a directory is about is called there.
const manifestFile = "manifest.json"

// toDirectory writes a directory as skopeo's dir: does. It gets its name once it is complete; one
// that was there before is replaced, if it is of this kind.
func (x *exporter) toDirectory(ctx context.Context, items []Item, dest reference.Ref) error {
	list, err := x.collect(ctx, items)
	if err != nil {
		return err
	}
	target := filepath.Clean(dest.Path)
	if err := replaceable(target); err != nil {
		return err
	}
	next, err := os.MkdirTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return err
	}
	err = x.fillDirectory(ctx, list, next)
	if err == nil {
		err = os.Chmod(next, 0o755) //nolint:gosec // as public as a layout
	}
	if err == nil {
		err = swap(next, target)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	return nil
}

// fillDirectory writes all of list, the first of which is what the directory is about.
func (x *exporter) fillDirectory(ctx context.Context, list []ispec.Descriptor, name string) error {
	dir, err := layout.OpenDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Replace("version", []byte(directoryVersion), 0o644); err != nil {
		return err
	}
	for i, d := range list {
		as := directoryName(d)
		if i == 0 {
			as = manifestFile
		}
		f, err := dir.OpenFile(as, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(x.blob(ctx, d, f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// directoryName gives where the content of d lies in a directory that is about something else.
func directoryName(d ispec.Descriptor) string {
	if image.IsManifest(d.MediaType) || image.IsIndex(d.MediaType) {
		return d.Digest.Encoded() + "." + manifestFile
	}
	return d.Digest.Encoded()
}

// replaceable refuses a place where there is something that this package would not have made.
func replaceable(target string) error {
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: %w: it is no directory", target, ErrNotLayout)
	}
	entries, err := os.ReadDir(target)
	if err != nil || len(entries) == 0 {
		return err
	}
	dir, err := layout.OpenDir(target)
	if err != nil {
		return err
	}
	defer dir.Close()
	raw, err := dir.ReadFile("version", layout.MaxMarkerSize)
	if err != nil || !strings.HasPrefix(string(raw), directoryMarker) {
		return fmt.Errorf("%s: %w: the directory is in use for something else", target, ErrNotLayout)
	}
	return nil
}

// swap gives next the name target, and removes what had it.
func swap(next, target string) error {
	old := next + ".old"
	err := os.Rename(target, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(next, target); err != nil {
		return errors.Join(err, os.Rename(old, target))
	}
	return os.RemoveAll(old)
}
