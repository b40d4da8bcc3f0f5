package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// pairs is a layer of n files with two names each, and layers of links to the first names, each of its own files.
func pairs(blobs tartest.Blobs, n, layers int) []image.Layer {
	var base []tartest.Entry
	ups := make([][]tartest.Entry, layers)
	for i := range n {
		a, b := fmt.Sprintf("a/%05d", i), fmt.Sprintf("b/%05d", i)
		base = append(base, tartest.File(a, "x"), tartest.Link(b, a))
		ups[i%layers] = append(ups[i%layers], tartest.Link(fmt.Sprintf("c/%05d", i), a))
	}
	list := []image.Layer{blobs.Layer(base...)}
	for _, up := range ups {
		list = append(list, blobs.Layer(up...))
	}
	return list
}

// TestH63_links_are_looked_up_once: a directory of a layer is read once, however many hardlinks and layers ask for
// other names of a file. Once it was read for each link, which took many minutes for this image.
func TestH63_links_are_looked_up_once(t *testing.T) {
	needRoot(t)
	const n = 4_000
	blobs := tartest.Blobs{}
	layers := pairs(blobs, n, 2)
	s := newStore(t, Options{})
	markers, err := s.ensureAll(t.Context(), layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	w := newStackWork(unpack.Limits{})
	dirs, err := s.stackWith(t.Context(), layers, markers, w)
	if err != nil {
		t.Fatal(err)
	}
	// The base; for the second layer of links also the first one, and the directory that was made for that.
	if w.walks != 3 || len(dirs) != 5 {
		t.Errorf("%d walks, %d directories", w.walks, len(dirs))
	}
	for i := range n {
		var ino uint64
		for _, sub := range []string{"a", "b", "c"} {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dirs[2+i%2*2], sub, fmt.Sprintf("%05d", i)), &st); err != nil || st.Nlink != 3 || ino != 0 && st.Ino != ino {
				t.Fatalf("%s/%05d: %v, %d names", sub, i, err, st.Nlink)
			}
			ino = st.Ino
		}
	}
}

// mortal is a context that ends when it has been asked a number of times.
type mortal struct {
	context.Context //nolint:containedctx // it is one
	left            *int
}

func (m mortal) Err() error {
	if *m.left--; *m.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestH63_stacking_ends: whatever of it has begun, stacking ends with its context, and leaves nothing behind.
func TestH63_stacking_ends(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := pairs(blobs, 3, 1)
	layers = append(layers, blobs.Layer(tartest.Whiteout("a/00001"), tartest.File("b/s/f", ""), tartest.Link("l", "b/00001"), tartest.File("l", "")))
	s := newStore(t, Options{})
	markers, err := s.ensureAll(t.Context(), layers, blobs)
	if err != nil {
		t.Fatal(err)
	}
	entries := func(dir string) int {
		list, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	asked := 0
	for ; ; asked++ {
		if err := os.RemoveAll(filepath.Join(s.dir, chainsDir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(s.dir, chainsDir), 0o700); err != nil {
			t.Fatal(err)
		}
		left := asked
		_, err := s.stack(mortal{t.Context(), &left}, layers, markers)
		if n := entries(stagingDir); n != 0 {
			t.Fatalf("ended after %d: %d in staging", asked, n)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("ended after %d: %v", asked, err)
		}
	}
	if asked < 20 {
		t.Errorf("the context was asked %d times", asked)
	}
	if n := entries(chainsDir); n != 2 {
		t.Errorf("%d chains", n)
	}
}

// TestH63_stacking_is_bounded: what the stack of an image makes counts against the limits of layers.
func TestH63_stacking_is_bounded(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		limits unpack.Limits
		layers [][]tartest.Entry
	}{
		"entries": {unpack.Limits{Entries: 7}, [][]tartest.Entry{
			{tartest.File("a/a", "x"), tartest.Link("a/b", "a/a"), tartest.Link("a/c", "a/a"), tartest.Link("a/d", "a/a"), tartest.Link("a/e", "a/a")},
			{tartest.Link("b/f", "a/a"), tartest.Link("b/g", "a/a"), tartest.Link("b/h", "a/a")},
		}},
		"total": {unpack.Limits{TotalBytes: 24 << 10}, [][]tartest.Entry{
			{tartest.File("a", string(make([]byte, 10<<10)))},
			{tartest.Link("b", "a")},
			{tartest.Link("c", "a")},
			{tartest.Link("d", "a")},
		}},
	} {
		blobs := tartest.Blobs{}
		var layers []image.Layer
		for _, l := range c.layers {
			layers = append(layers, blobs.Layer(l...))
		}
		if _, err := newStore(t, Options{}).Ensure(t.Context(), layers, blobs); err != nil {
			t.Errorf("%s: without the limit: %v", name, err)
		}
		s := newStore(t, Options{Unpack: unpack.Options{Limits: c.limits}})
		markers, err := s.ensureAll(t.Context(), layers, blobs)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var limit *unpack.LimitError
		if _, err := s.stack(t.Context(), layers, markers); !errors.As(err, &limit) || limit.Limit.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
