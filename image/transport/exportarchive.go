package transport

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oci-pipeline/oci/image"
)

// archive is a tar that is being written. Its members have neither times nor owners, so the same
// image gives the same bytes.
type archive interface {
	// add writes a member of the size given, or of any if it is negative.
	add(name string, size int64, write func(io.Writer) error) error
	addDir(name string) error
}

const tarBlock = 512 // bytes; tar(5)

// writeArchive makes the archive at a path by fill, or writes it to Output if that is "-".
func (x *exporter) writeArchive(path string, fill func(archive) error) error {
	if path != "-" {
		return writeTarFile(path, fill)
	}
	if x.o.Output == nil {
		return fmt.Errorf("%w: there is nowhere to write to", ErrUnsupported)
	}
	a := &streamArchive{w: x.o.Output}
	if err := fill(a); err != nil {
		return err
	}
	_, err := a.w.Write(make([]byte, 2*tarBlock)) // the end of the archive
	return err
}

// writeTarFile makes the file name by fill. Until it is complete it has another name; a file that was
// there is replaced then, and anything else refused.
func writeTarFile(name string, fill func(archive) error) error {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w but %s", name, ErrNotRegular, info.Mode().Type())
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	a := &fileArchive{f: f}
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

func addBytes(a archive, name string, raw []byte) error {
	return a.add(name, int64(len(raw)), func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// padded gives a size with the rest of its last block.
func padded(size int64) int64 { return (size + tarBlock - 1) / tarBlock * tarBlock }

// fileArchive is an archive that can be written to anywhere: the header of a member comes after its
// content, when the size is known.
type fileArchive struct {
	f  *os.File
	at int64
}

func (a *fileArchive) add(name string, _ int64, write func(io.Writer) error) error {
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
	a.at = start + tarBlock + padded(size)
	return nil
}

func (a *fileArchive) addDir(name string) error {
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

// streamArchive is an archive that is written from its start to its end.
type streamArchive struct{ w io.Writer }

func (a *streamArchive) add(name string, size int64, write func(io.Writer) error) error {
	if size < 0 {
		return a.spooled(name, write)
	}
	block, err := header(name, tar.TypeReg, size)
	if err == nil {
		_, err = a.w.Write(block)
	}
	if err != nil {
		return err
	}
	w := &countingWriter{w: a.w}
	if err := write(w); err != nil {
		return err
	}
	if w.n != size {
		return fmt.Errorf("%s: %w: %d bytes of %d", name, image.ErrSizeMismatch, w.n, size)
	}
	_, err = a.w.Write(make([]byte, padded(size)-size))
	return err
}

// spooled adds a member whose size only its end tells, by way of a file without a name.
func (a *streamArchive) spooled(name string, write func(io.Writer) error) error {
	f, err := unnamedFile()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	return a.add(name, size, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

func (a *streamArchive) addDir(name string) error {
	block, err := header(name+"/", tar.TypeDir, 0)
	if err == nil {
		_, err = a.w.Write(block)
	}
	return err
}

// countingWriter counts what goes through it.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
