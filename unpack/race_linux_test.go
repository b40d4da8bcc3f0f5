package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH10_renamer has another process swap a directory for a link to the outside all the time.
func TestH10_renamer(t *testing.T) {
	needRoot(t)
	var list entries
	for i := range 150 {
		sub := string(rune('a' + i%3))
		list = append(list, dir("d"), file("d/"+sub+"/secret", "x"), tartest.Entry{Name: "d/" + sub, Type: '5', Mode: 0o777},
			link("d/"+sub+"/h", "d/"+sub+"/secret"), gone("d/"+sub+"/old"), sym("d/l", "/out"), file("d/l", "x"))
	}
	for _, openat2 := range []bool{true, false} {
		blobs := tartest.Blobs{}
		lower := blobs.Layer(dir("d"), file("d/a/old", "x"), file("d/b/old", "x"))
		upper := blobs.Layer(list...)
		s := tartest.NewCanary(t)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() { rename(s, stop) })
		var failed int
		for range 8 {
			err := unpackMode(t.Context(), []image.Layer{lower, upper}, blobs, s.Target, unpack.Options{}, openat2)
			if err != nil {
				failed++
			}
			root, err := unpack.OpenRoot(s.Target)
			if err != nil {
				continue
			}
			root.RemoveContents()
			root.Close()
			os.Remove(s.Target)
		}
		close(stop)
		wg.Wait()
		s.Check(t)
		t.Logf("openat2 %v: %d of 8 unpackings noticed", openat2, failed)
	}
}

// rename exchanges d and its directories with links to the outside until stop. It names them by
// descriptor: it must not be led outside itself.
func rename(s *tartest.Canary, stop <-chan struct{}) {
	out := filepath.Join(s.Dir, "out")
	for {
		select {
		case <-stop:
			return
		default:
		}
		top, err := unix.Open(s.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		exchange(top, "d", out)
		if d, err := unix.Openat(top, "d", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err == nil {
			exchange(d, "a", out)
			exchange(d, "b", out)
			unix.Close(d)
		}
		unix.Close(top)
	}
}

// exchange puts a link in the place of a directory for a moment.
func exchange(dirfd int, name, target string) {
	evil := name + ".evil"
	unix.Symlinkat(target, dirfd, evil)
	unix.Renameat2(dirfd, name, dirfd, evil, unix.RENAME_EXCHANGE)
	unix.Renameat2(dirfd, name, dirfd, evil, unix.RENAME_EXCHANGE)
	unix.Unlinkat(dirfd, evil, 0)
}

// FuzzUnpack: whatever a layer holds, nothing outside of the root changes, an error is typed, and
// the tar of a layer that is accepted can be rebuilt.
func FuzzUnpack(f *testing.F) {
	needRoot(f)
	for _, list := range []entries{
		{dir("d"), file("d/f", "x"), sym("l", "../../out"), file("l/secret", "x"), link("h", "l")},
		{file("a", "1"), gone("a"), clear("d"), file("d/s/x", "2"), link("h", "/a")},
		{{Name: "n", Type: '3', Major: 1, Minor: 3}, {Name: "p", Type: '6'}, tartest.GNULong('L', "../../out/secret"), file("x", "y")},
		{{Name: "x", PAX: map[string]string{"path": "../x", "SCHILY.xattr.user.a": "b", "mtime": "1.5", "GNU.sparse.map": "0,1"}, Body: "z"}},
	} {
		f.Add(tartest.Archive(list...))
	}
	blobs := tartest.Blobs{}
	lower := blobs.Layer(dir("d"), file("d/s/y", "1"), sym("l", "../../out"), file("a", "2"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tar := fixChecksums(raw)
		layers := []image.Layer{lower, blobs.Tar(tar)}
		defer delete(blobs, layers[1].Descriptor.Digest)
		s := tartest.NewCanary(t)
		o := unpack.Options{Devices: unpack.DeviceSkip, Limits: unpack.Limits{FileBytes: 1 << 20, LayerBytes: 4 << 20, TotalBytes: 8 << 20}}
		for _, openat2 := range []bool{true, false} {
			err := unpackMode(t.Context(), layers, blobs, s.Target, o, openat2)
			s.Check(t)
			var typed *unpack.Error
			if err != nil && !errors.As(err, &typed) {
				t.Errorf("%T: %v", err, err)
			}
			root, err := unpack.OpenRoot(s.Target)
			if err != nil {
				continue
			}
			if err := root.RemoveContents(); err != nil {
				t.Error(err)
			}
			root.Close()
			if err := os.Remove(s.Target); err != nil {
				t.Error(err)
			}
		}
		fuzzOverlay(t, s, blobs, layers[1], o)
		s.Check(t)
	})
}

// fuzzOverlay applies a layer by itself, and rebuilds its tar if that went well.
func fuzzOverlay(t *testing.T, s *tartest.Canary, blobs tartest.Blobs, layer image.Layer, o unpack.Options) {
	replaced := t.TempDir()
	roots := make([]*unpack.Root, 2)
	for i, dir := range []string{s.Target, replaced} {
		os.Mkdir(dir, 0o755)
		root, err := unpack.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		roots[i] = root
	}
	var log bytes.Buffer
	o.Log, o.Replaced = &log, roots[1]
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, roots[0], unpack.Overlay, o); err != nil {
		return
	}
	sum := digest.SHA256.Digester()
	open := func(position int, name string) (io.ReadCloser, error) {
		if f, err := roots[1].Open(fmt.Sprint(position)); err == nil {
			return f, nil
		}
		return roots[0].Open(name)
	}
	if err := unpack.RebuildTar(&log, open, sum.Hash()); err != nil || sum.Digest() != layer.DiffID {
		t.Errorf("rebuilt as %s: %v", sum.Digest(), err)
	}
}

// fixChecksums makes each block that has a known magic a header with a right checksum, so that
// mutations get past the first check.
func fixChecksums(raw []byte) []byte {
	out := append([]byte(nil), raw...)
	for i := 0; i+512 <= len(out); i += 512 {
		if string(out[i+257:i+262]) == "ustar" {
			tartest.Checksum(out[i : i+512])
		}
	}
	return out
}
