package convert

import (
	"errors"
	"io"
	"os"
	"strings"
)

var errNotRegular = errors.New("not a regular file")

// openInRoot opens a regular file with the means of the standard library.
func openInRoot(dir, name string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name = strings.TrimLeft(name, "/")
	fi, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return root.OpenFile(name, os.O_RDONLY|nonblock, 0)
}
