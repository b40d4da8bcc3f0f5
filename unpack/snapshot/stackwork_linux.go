package snapshot

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// stackWork is what the stacking of one image has looked up, and what it may still make.
type stackWork struct {
	limits unpack.Limits
	copied int64 // bytes of files of lower layers that layers of the image have hardlinks to

	// several are the names of the files that have several, by the directory of their layer: a directory is read once,
	// however many hardlinks and layers ask.
	several map[string]map[inode][]string
	walks   int // directories that were read
}

func newStackWork(l unpack.Limits) *stackWork {
	return &stackWork{limits: l.WithDefaults(), several: map[string]map[inode][]string{}}
}

// inode is a file of a layer directory.
type inode struct{ dev, ino uint64 }

// copies notes that a file is copied. A layer of some bytes can have a hardlink to a large file, which is then
// copied for each such layer.
func (w *stackWork) copies(f *merge.File) error {
	if f.Stat.Mode&unix.S_IFMT == unix.S_IFREG {
		w.copied += f.Stat.Size
	}
	return within("total", w.limits.TotalBytes, w.copied, "the layers have hardlinks to lower files of more bytes")
}

// count notes that a name is made. Each stands for an entry of the layer, or for a name of a file below.
func (b *builder) count() error {
	b.made++
	return within("entries", b.work.limits.Entries, b.made, "what the layer changes in those below has more names")
}

// within gives a *unpack.LimitError if n exceeds a limit.
func within(name string, limit, n int64, what string) error {
	if n <= limit {
		return nil
	}
	return unpack.Exceeded(name, limit, n, what)
}

// names are all names that a file has in the layer directories dirs: overlayfs would leave those that are not linked
// here with the old file. A search is needed only where there are more than the one that is known.
func (w *stackWork) names(ctx context.Context, dirs []string, low *merge.File, known string) ([]string, error) {
	names := []string{known}
	if low.Stat.Nlink < 2 {
		return names, nil
	}
	for _, dir := range dirs {
		several, err := w.read(ctx, dir)
		if err != nil {
			return nil, err
		}
		for _, n := range several[inode{low.Stat.Dev, low.Stat.Ino}] {
			if n != known {
				names = append(names, n)
			}
		}
	}
	return names, nil
}

// read gives the names of the files in a layer directory that have several.
func (w *stackWork) read(ctx context.Context, dir string) (map[inode][]string, error) {
	if s := w.several[dir]; s != nil {
		return s, nil
	}
	w.walks++
	several := map[inode][]string{}
	err := walkTree(ctx, dir, func(_ int, path string, st *unix.Stat_t) error {
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			key := inode{st.Dev, st.Ino}
			several[key] = append(several[key], path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.several[dir] = several
	return several, nil
}

// visible tells whether path still shows low with the layer on top.
func (b *builder) visible(path string, low *merge.File) bool {
	for p := path; p != ""; p, _ = cut(p) { // these names are made here, and the layer does not show them yet
		if b.linkNames[p] {
			return false
		}
	}
	top, err := b.whole.Find(path)
	if err != nil {
		return false
	}
	defer top.Close()
	return top.Stat.Ino == low.Stat.Ino && top.Stat.Dev == low.Stat.Dev
}
