package transport

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// files is what a place is read by: a directory or the index of a tar. Names are slash-separated and
// relative.
type files interface {
	// open gives a regular file and its size; the error for one that is absent matches fs.ErrNotExist.
	open(name string) (io.ReadCloser, int64, error)
	close() error
}

// readFile reads a document of at most limit bytes.
func readFile(from files, name string, limit int64) ([]byte, error) {
	r, size, err := from.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are accepted", name, image.ErrTooLarge, size, limit)
	}
	raw, err := io.ReadAll(io.LimitReader(r, limit))
	if err == nil && int64(len(raw)) != size {
		err = image.ErrSizeMismatch
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return raw, nil
}

// dirFiles reads a directory.
type dirFiles struct{ dir *layout.Dir }

func (d dirFiles) open(name string) (io.ReadCloser, int64, error) {
	f, err := d.dir.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d dirFiles) close() error { return d.dir.Close() }

// Limits of an archive's table of contents.
const (
	maxEntries = 100_000 // docker save has three for each layer
	maxMember  = 4096    // bytes of a name that is remembered; no document names a longer one
	maxLinks   = 8       // links that follow each other; docker save has one
)

// tarFiles reads the members of a tar where they lie.
type tarFiles struct {
	f      *os.File
	member map[string]span
	link   map[string]string // cleaned target
	other  map[string]byte   // the type flag of members that are no files
	twice  map[string]bool   // names that came more than once
}

// span is where the content of a member is.
type span struct{ offset, size int64 }

// openTar opens an archive and reads its headers. Members that are neither files nor links, and those
// whose name leaves the archive, are as if they were not there; of two with one name the last counts,
// as it would for one who unpacks.
func openTar(ctx context.Context, name string) (*tarFiles, error) {
	f, err := openPlain(ctx, name)
	if err != nil {
		return nil, err
	}
	return indexTar(f)
}

// indexTar is openTar for an open file, which it closes if it fails.
func indexTar(f *os.File) (*tarFiles, error) {
	t := &tarFiles{f: f, member: make(map[string]span), link: make(map[string]string), other: make(map[string]byte), twice: make(map[string]bool)}
	if err := t.index(); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// openPlain opens an archive as a file that is not compressed.
func openPlain(ctx context.Context, name string) (*os.File, error) {
	info, err := os.Stat(name) // before the open, which would wait for the writer of a FIFO
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w but %s", name, ErrNotRegular, info.Mode().Type())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	c, err := detect(f)
	if err == nil && c == image.Uncompressed {
		return f, nil
	}
	defer f.Close()
	if err != nil {
		return nil, err
	}
	return spool(ctx, f, c, spoolFree)
}

func (t *tarFiles) index() error {
	info, err := t.f.Stat()
	if err != nil {
		return err
	}
	r := tar.NewReader(t.f)
	for n := 0; ; n++ {
		h, err := r.Next()
		if err == io.EOF { //nolint:errorlint // archive/tar gives it as it is
			break
		}
		if err != nil {
			return fmt.Errorf("%w: not a tar, or a damaged one: %w", image.ErrMalformed, hideEOF(err))
		}
		if n == maxEntries {
			return fmt.Errorf("%w: more than %d members", image.ErrMalformed, maxEntries)
		}
		// The reader takes whole headers and nothing beyond, so the file is at the content now.
		offset, err := t.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		t.add(h, offset, info.Size())
	}
	if len(t.member) == 0 {
		return fmt.Errorf("%w: an archive without files", image.ErrMalformed)
	}
	return nil
}

func (t *tarFiles) add(h *tar.Header, offset, end int64) {
	name, ok := memberName(h.Name)
	if !ok {
		return
	}
	if t.known(name) && h.Typeflag != tar.TypeDir {
		t.twice[name] = true
	}
	delete(t.member, name)
	delete(t.link, name)
	delete(t.other, name)
	if h.Typeflag != tar.TypeReg {
		t.other[name] = h.Typeflag
	}
	switch h.Typeflag {
	case tar.TypeReg:
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return // its content does not lie in one piece
			}
		}
		if h.Size <= end-offset {
			t.member[name] = span{offset, h.Size}
		}
	case tar.TypeSymlink:
		if target, ok := memberName(path.Join(path.Dir(name), h.Linkname)); ok && !path.IsAbs(h.Linkname) {
			t.link[name] = target
		}
	case tar.TypeLink:
		if target, ok := memberName(h.Linkname); ok {
			t.link[name] = target
		}
	}
}

// known tells whether a member of the name has come.
func (t *tarFiles) known(name string) bool {
	_, file := t.member[name]
	_, link := t.link[name]
	_, other := t.other[name]
	return file || link || other
}

// memberName cleans a name of an archive; ok is false for one that is no name below its root.
func memberName(name string) (cleaned string, ok bool) {
	if len(name) > maxMember {
		return "", false
	}
	name = path.Clean(name)
	return name, fs.ValidPath(name) && name != "."
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	at := name
	for range maxLinks {
		if s, ok := t.member[at]; ok {
			return sectionCloser{io.NewSectionReader(t.f, s.offset, s.size)}, s.size, nil
		}
		target, ok := t.link[at]
		if !ok {
			break
		}
		at = target
	}
	return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (t *tarFiles) close() error { return t.f.Close() }

// sectionCloser is a member of an open archive: it can be sought in, and closing it is nothing.
type sectionCloser struct{ *io.SectionReader }

func (sectionCloser) Close() error { return nil }

// hideEOF keeps an end of file in the wrong place from being taken for a good end.
func hideEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it ends too early")
	}
	return err
}
