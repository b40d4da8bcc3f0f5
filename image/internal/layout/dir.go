package layout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Dir is a directory that is held open; every name is resolved below it.
type Dir struct {
	root *os.Root
	self *os.File // the same directory, for openat2
}

// OpenDir opens the directory at a path of the user's, in which links are followed.
func OpenDir(name string) (*Dir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &Dir{root, self}, nil
}

// Close closes the directory.
func (d *Dir) Close() error {
	return errors.Join(d.self.Close(), d.root.Close())
}

// Root gives the directory for work on names that are this project's own.
func (d *Dir) Root() *os.Root { return d.root }

// Open opens a regular file for reading; no component of the name may be a symbolic link. It gives
// ErrNotRegular, or an error that matches fs.ErrNotExist.
func (d *Dir) Open(name string) (*os.File, error) {
	return d.OpenFile(name, os.O_RDONLY, 0)
}

// OpenFile is Open with flags of os.OpenFile.
func (d *Dir) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := d.openNoFollow(name, flag, perm)
	if err != nil {
		return nil, &Error{Op: "open", Subject: name, Err: err}
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w but %s", ErrNotRegular, info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, &Error{Op: "open", Subject: name, Err: err}
	}
	return f, nil
}

// ReadFile reads a regular file of at most limit bytes; a longer one gives image.ErrTooLarge.
func (d *Dir) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", image.ErrTooLarge, limit)
	}
	if err != nil {
		return nil, &Error{Op: "read", Subject: name, Err: err}
	}
	return raw, nil
}

// Replace puts raw in place of the file name by a rename: a reader sees the old or the new content
// and nothing else, also if this process dies. Only one writer may do it at a time.
func (d *Dir) Replace(name string, raw []byte, perm fs.FileMode) error {
	if err := d.writeNext(name, raw, perm); err != nil {
		return err
	}
	return d.root.Rename(name+nextSuffix, name)
}

// nextSuffix is what a file is called before it has its name.
const nextSuffix = ".new"

// writeNext writes the file that is to have a name.
func (d *Dir) writeNext(name string, raw []byte, perm fs.FileMode) error {
	if err := d.removeNext(name); err != nil {
		return err
	}
	f, err := d.OpenFile(name+nextSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

func (d *Dir) removeNext(name string) error {
	if err := d.root.Remove(name + nextSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an edit left: %w", err)
	}
	return nil
}

// BlobPath gives where the blob d lies in a layout. d must have been proved (image.ValidateDigest).
func BlobPath(d digest.Digest) string {
	return path.Join(ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// OpenBlob opens a blob whose size on disk is the one wanted. It proves the descriptor first; the
// content is not proved. The errors match fs.ErrNotExist, ErrNotRegular, image.ErrSizeMismatch or
// those of image.ValidateDigest.
func (d *Dir) OpenBlob(want ispec.Descriptor) (*os.File, error) {
	if err := image.ValidateDigest(want.Digest); err != nil {
		return nil, err
	}
	f, err := d.Open(BlobPath(want.Digest))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != want.Size {
		err = fmt.Errorf("%w: %d bytes on disk, %d announced", image.ErrSizeMismatch, info.Size(), want.Size)
	}
	if err != nil {
		f.Close()
		return nil, &Error{Op: "open blob", Subject: want.Digest.String(), Clause: spec.LayoutBlobs, Err: err}
	}
	return f, nil
}
