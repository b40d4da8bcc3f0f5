package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

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
