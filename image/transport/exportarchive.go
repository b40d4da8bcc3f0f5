package transport

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/internal/layout"
	"github.com/oci-pipeline/oci/image/reference"
)

// archive is a tar that is being written. Its members have neither times nor owners, so the same
// image gives the same bytes.
type archive struct {
	f  *os.File
	at int64
}

const tarBlock = 512 // bytes; tar(5)

// writeArchive makes the file name by fill. Until it is complete it has another name; a file that was
// there is replaced then, and anything else refused.
func writeArchive(name string, fill func(*archive) error) error {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w but %s", name, ErrNotRegular, info.Mode().Type())
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	a := &archive{f: f}
	err = fill(a)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 2*tarBlock), a.at) // the end of the archive
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// header gives the one block that describes a member. GNU's form of sizes over 8 GiB needs no more.
func header(name string, kind byte, size int64) ([]byte, error) {
	h := &tar.Header{Name: name, Typeflag: kind, Size: size, Mode: 0o644, Format: tar.FormatGNU}
	if kind == tar.TypeDir {
		h.Mode = 0o755
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(h); err != nil {
		return nil, err
	}
	if buf.Len() != tarBlock {
		return nil, fmt.Errorf("%s: the name is too long", name)
	}
	return buf.Bytes(), nil
}

// add writes a member. Its size need not be known: the header is written once it is.
func (a *archive) add(name string, write func(io.Writer) error) error {
	start := a.at
	w := &offsetWriter{a.f, start + tarBlock}
	if err := write(w); err != nil {
		return err
	}
	size := w.at - start - tarBlock
	block, err := header(name, tar.TypeReg, size)
	if err != nil {
		return err
	}
	if _, err := a.f.WriteAt(block, start); err != nil {
		return err
	}
	// The gap up to the next block is never written, and so reads as the zeros that it must be.
	a.at = start + tarBlock + (size+tarBlock-1)/tarBlock*tarBlock
	return nil
}

func (a *archive) addBytes(name string, raw []byte) error {
	return a.add(name, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

func (a *archive) addDir(name string) error {
	block, err := header(name+"/", tar.TypeDir, 0)
	if err != nil {
		return err
	}
	_, err = a.f.WriteAt(block, a.at)
	a.at += tarBlock
	return err
}

// offsetWriter writes on from a place of a file.
type offsetWriter struct {
	f  *os.File
	at int64
}

func (w *offsetWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

// toLayoutArchive writes a tar of a layout with this one image. The small files come first, for those
// who read it as a stream.
func (x *exporter) toLayoutArchive(ctx context.Context, d ispec.Descriptor, dest reference.Ref) error {
	list, err := x.collect(ctx, d)
	if err != nil {
		return err
	}
	index := layout.NewIndex()
	if err := x.enter(index, d); err != nil {
		return err
	}
	raw, err := index.Encode()
	if err != nil {
		return err
	}
	return writeArchive(dest.Path, func(a *archive) error {
		if err := a.addBytes(ispec.ImageLayoutFile, []byte(layout.Marker)); err != nil {
			return err
		}
		if err := a.addBytes(ispec.ImageIndexFile, raw); err != nil {
			return err
		}
		made := make(map[string]bool)
		for _, b := range list {
			name := layout.BlobPath(b.Digest)
			for _, parent := range [...]string{ispec.ImageBlobsDir, path.Dir(name)} {
				if made[parent] {
					continue
				}
				made[parent] = true
				if err := a.addDir(parent); err != nil {
					return err
				}
			}
			if err := a.add(name, func(w io.Writer) error { return x.blob(ctx, b, w) }); err != nil {
				return err
			}
		}
		return nil
	})
}
