//go:build !linux

package convert

import (
	"io"
	"os"
)

// Root is a Rootfs on disk.
type Root struct{ dir *os.File }

// OpenRoot opens the directory at path.
func OpenRoot(path string) (*Root, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Root{f}, nil
}

// NewRoot takes a directory that is open already. The caller keeps dir.
func NewRoot(dir *os.File) *Root { return &Root{dir} }

// Close closes the directory.
func (r *Root) Close() error { return r.dir.Close() }

// Open opens a regular file. A link that leaves the root is an error.
func (r *Root) Open(name string) (io.ReadCloser, error) { return openInRoot(r.dir.Name(), name) }
