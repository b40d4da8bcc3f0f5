package transport

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/internal/layout"
)

// FileSet is the files of a directory, a tar or a zip, for one who judges what is in it as it is. Names are slash-separated and
// relative; of a directory no symbolic link is followed, and nothing but a regular file is opened.
type FileSet struct {
	from files
	list []File
}

// File is one of a FileSet.
type File struct {
	Name  string
	Type  fs.FileMode // the bits of the type: 0 of a regular file, fs.ModeDir, ...
	Size  int64       // of a regular file; of a link in a tar that of its target
	Twice bool        // the tar has another member of the name before it, which does not count
}

// OpenFiles opens a directory, of which it lists the top and two levels below blobs, a tar, which may be compressed, or a zip. What is none of these is an error.
func OpenFiles(ctx context.Context, name string) (*FileSet, error) {
	set, err := openFiles(ctx, name)
	return set, failed("open", fmt.Sprintf("%q", name), err)
}

func openFiles(ctx context.Context, name string) (*FileSet, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return openArchiveFiles(ctx, name, info)
	}
	dir, err := layout.OpenDir(name)
	if err != nil {
		return nil, err
	}
	set := &FileSet{from: dirFiles{dir}}
	if err := set.walk(ctx, dir.Root().FS(), ".", 0); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return set, nil
}

// openArchiveFiles opens a tar or a zip.
func openArchiveFiles(ctx context.Context, name string, info fs.FileInfo) (*FileSet, error) {
	if info.Mode().IsRegular() { // of a FIFO the open would wait
		zipped, err := isZip(name)
		if err != nil {
			return nil, err
		}
		if zipped {
			z, err := openZip(name)
			if err != nil {
				return nil, err
			}
			return &FileSet{z, z.list}, nil
		}
	}
	t, err := openTar(ctx, name)
	if err != nil {
		return nil, err
	}
	return &FileSet{t, t.all()}, nil
}

// fileDepth is how many levels are listed: blobs/ALGORITHM/ENCODED.
const fileDepth = 3

func (s *FileSet) walk(ctx context.Context, root fs.FS, dir string, depth int) error {
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(s.list) >= maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrUnsupported, maxFiles)
		}
		f := File{Name: path.Join(dir, e.Name()), Type: e.Type()}
		if f.Type.IsRegular() {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it went meanwhile
			}
			if err != nil {
				return err
			}
			f.Size = info.Size()
		}
		s.list = append(s.list, f)
		if e.IsDir() && depth < fileDepth-1 && (depth > 0 || e.Name() == ispec.ImageBlobsDir) {
			if err := s.walk(ctx, root, f.Name, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxFiles bounds the list of a directory: a store of 100,000 images has fewer.
const maxFiles = 2_000_000

// all lists the members of a tar, and the directories that their names pass through.
func (t *tarFiles) all() []File {
	list := map[string]File{}
	for name, s := range t.member {
		list[name] = File{Size: s.size}
	}
	for name, flag := range t.other {
		list[name] = t.special(name, flag)
	}
	for name := range maps.Clone(list) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := list[dir]; ok {
				break
			}
			list[dir] = File{Type: fs.ModeDir}
		}
	}
	sorted := make([]File, 0, len(list))
	for name, f := range list {
		f.Name, f.Twice = name, t.twice[name]
		sorted = append(sorted, f)
	}
	slices.SortFunc(sorted, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return sorted
}

// special describes a member that is no file; a hardlink is what it leads to.
func (t *tarFiles) special(name string, flag byte) File {
	f := File{Type: fs.ModeIrregular}
	switch flag {
	case tar.TypeDir:
		f.Type = fs.ModeDir
	case tar.TypeSymlink:
		f.Type = fs.ModeSymlink
	}
	r, size, err := t.open(name)
	if err != nil {
		return f
	}
	r.Close()
	if f.Size = size; flag == tar.TypeLink {
		f.Type = 0
	}
	return f
}

// List gives the files, sorted by their names.
func (s *FileSet) List() []File { return s.list }

// Open opens a file for reading and tells its size. One that is absent matches fs.ErrNotExist, what is no regular file ErrNotRegular.
func (s *FileSet) Open(name string) (io.ReadCloser, int64, error) {
	r, size, err := s.from.open(name)
	return r, size, failed("open", fmt.Sprintf("%q", name), err)
}

// Close closes the directory or the tar.
func (s *FileSet) Close() error { return s.from.close() }
