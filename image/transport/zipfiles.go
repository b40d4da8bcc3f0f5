package transport

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/oci-pipeline/oci/image"
)

// zipMagic is what a zip with files in it begins with.
const zipMagic = "PK\x03\x04"

// zipFiles reads the members of a zip, of which image-layout.md speaks as a transport too. Only one who judges a layout reads
// them: a member that is compressed cannot be read from its middle.
type zipFiles struct {
	f      *os.File
	member map[string]*zip.File
	list   []File
}

// isZip tells whether a regular file is a zip.
func isZip(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(zipMagic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == zipMagic, nil
}

func openZip(name string) (*zipFiles, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	z := &zipFiles{f: f, member: map[string]*zip.File{}}
	if err := z.index(); err != nil {
		f.Close()
		return nil, err
	}
	return z, nil
}

func (z *zipFiles) index() error {
	info, err := z.f.Stat()
	if err != nil {
		return err
	}
	r, err := zip.NewReader(z.f, info.Size())
	if err != nil {
		return fmt.Errorf("%w: not a zip, or a damaged one: %w", image.ErrMalformed, err)
	}
	if len(r.File) > maxEntries {
		return fmt.Errorf("%w: more than %d members", image.ErrMalformed, maxEntries)
	}
	all := &tarFiles{member: map[string]span{}, other: map[string]byte{}, twice: map[string]bool{}}
	types := map[string]fs.FileMode{}
	for _, m := range r.File {
		name, ok := memberName(m.Name)
		if !ok {
			continue
		}
		types[name] = m.Mode().Type()
		all.twice[name] = z.member[name] != nil
		all.member[name] = span{size: int64(min(m.UncompressedSize64, 1<<62))}
		z.member[name] = m
	}
	for _, f := range all.all() {
		if t, ok := types[f.Name]; ok {
			f.Type = t
		}
		z.list = append(z.list, f)
	}
	return nil
}

func (z *zipFiles) open(name string) (io.ReadCloser, int64, error) {
	m, ok := z.member[name]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if !m.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: %w but %s", name, ErrNotRegular, m.Mode().Type())
	}
	r, err := m.Open()
	return r, int64(min(m.UncompressedSize64, 1<<62)), err
}

func (z *zipFiles) close() error { return z.f.Close() }
