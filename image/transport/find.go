package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/reference"
)

// Find opens the place at a path, whose kind it finds out: a layout or one of skopeo's directories, a
// tar of a layout or of docker save, compressed or not. The reference says what it is.
func Find(ctx context.Context, path string) (Source, reference.Ref, error) {
	src, ref, err := find(ctx, path)
	return src, ref, failed("open", fmt.Sprintf("%q", path), err)
}

func find(ctx context.Context, path string) (Source, reference.Ref, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reference.Ref{}, err
	}
	if !info.IsDir() {
		f, err := openPlain(ctx, path)
		if err != nil {
			return nil, reference.Ref{}, err
		}
		return openArchive(ctx, f, path)
	}
	ref := reference.Ref{Transport: reference.OCI, Path: path}
	layout, errLayout := OpenLayout(ref)
	if errLayout == nil {
		return layout, ref, nil
	}
	ref.Transport = reference.Dir
	dir, err := OpenDirectory(ref)
	if err == nil {
		return dir, ref, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(errLayout, ErrNotLayout) {
		return nil, reference.Ref{}, errors.Join(errLayout, err)
	}
	return nil, reference.Ref{}, fmt.Errorf("%w, and no directory of skopeo's: it has neither oci-layout nor manifest.json", ErrNotLayout)
}

// OpenStream is Find for an archive that is read once, from its start to its end: a pipe. It is kept in
// a temporary file without a name until Close.
func OpenStream(ctx context.Context, r io.Reader) (Source, reference.Ref, error) {
	b := bufio.NewReaderSize(r, copyBuffer)
	head, err := b.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, reference.Ref{}, failed("read", "archive", err)
	}
	c, err := compressionOf(string(head))
	if err != nil {
		return nil, reference.Ref{}, failed("read", "archive", err)
	}
	f, err := spool(ctx, b, c, spoolFree)
	if err != nil {
		return nil, reference.Ref{}, failed("read", "archive", err)
	}
	src, ref, err := openArchive(ctx, f, "-")
	return src, ref, failed("open", "archive", err)
}

// openArchive finds out what kind of archive f is. What docker save writes today is both kinds: the
// layout in it says more. It closes f if it fails.
func openArchive(ctx context.Context, f *os.File, path string) (Source, reference.Ref, error) {
	ref := reference.Ref{Transport: reference.OCIArchive, Path: path}
	t, err := indexTar(f)
	if err != nil {
		return nil, ref, err
	}
	var src Source
	switch {
	case t.has(ispec.ImageLayoutFile):
		src, err = newLayout(ctx, localLayout{t}, ref)
	case t.has(manifestFile):
		ref.Transport = reference.DockerArchive
		src, err = newDockerArchive(t, ref)
	default:
		err = errors.Join(fmt.Errorf("%w, and no output of docker save: it has neither oci-layout nor manifest.json", ErrNotLayout), t.close())
	}
	if err != nil {
		return nil, ref, err
	}
	return src, ref, nil
}

// has tells whether an archive has a file.
func (t *tarFiles) has(name string) bool {
	r, _, err := t.open(name)
	if err == nil {
		r.Close()
	}
	return err == nil
}
