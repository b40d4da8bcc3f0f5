package regular

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/oci-pipeline/oci/bundle"
)

// MaxFiles bounds the files of one directory: the longest list seen in use has some twenty.
const MaxFiles = 4096

// Read gives what a file holds: at most limit bytes. What is no regular file is bundle.ErrNotRegular, a longer one bundle.ErrTooLarge.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, bundle.ErrNotRegular
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", bundle.ErrTooLarge, limit)
	}
	return raw, err
}

// Names lists the entries of a directory in the order of their names: at most MaxFiles. Directories are left out.
func Names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(MaxFiles + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(entries) > MaxFiles {
		return nil, fmt.Errorf("%w: more than %d files", bundle.ErrTooLarge, MaxFiles)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
