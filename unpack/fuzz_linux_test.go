package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// fuzzLimits keep one input from taking long.
func fuzzLimits() unpack.Limits {
	return unpack.Limits{FileBytes: 1 << 20, LayerBytes: 4 << 20, TotalBytes: 8 << 20}
}

// judge unpacks layers in both modes, and each by itself: an error or success, the target gone after an
// error, nothing outside changed, nothing left behind in this process.
func judge(t *testing.T, blobs tartest.Blobs, layers []image.Layer) {
	t.Helper()
	c := tartest.NewCanary(t)
	leaks := tartest.Leaks(t)
	o := unpack.Options{Devices: unpack.DeviceSkip, Limits: fuzzLimits()}
	var errs [2]error
	for i, openat2 := range []bool{true, false} {
		err := unpackMode(t.Context(), layers, blobs, c.Target, o, openat2)
		errs[i] = err
		c.Check(t)
		var typed *unpack.Error
		if err != nil && (!errors.As(err, &typed) || errors.Is(err, io.EOF)) {
			t.Errorf("%T: %v", err, err)
		}
		root, oerr := unpack.OpenRoot(c.Target)
		if (oerr == nil) != (err == nil) {
			t.Errorf("the target: %v, after %v", oerr, err)
		}
		if oerr != nil {
			continue
		}
		if err := errors.Join(root.RemoveContents(), root.Close(), os.Remove(c.Target)); err != nil {
			t.Error(err)
		}
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		t.Errorf("with openat2: %v\nwithout: %v", errs[0], errs[1])
	}
	for _, layer := range layers {
		fuzzOverlay(t, c, blobs, layer, o)
	}
	c.Check(t)
	leaks()
}

// FuzzUnpack changes the bytes of a tar.
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
	f.Fuzz(func(t *testing.T, raw []byte) {
		blobs := tartest.Blobs{}
		lower := blobs.Layer(dir("d"), file("d/s/y", "1"), sym("l", "../../out"), file("a", "2"))
		judge(t, blobs, []image.Layer{lower, blobs.Tar(fixChecksums(raw))})
	})
}

// FuzzMutant changes entries of real layers, and puts them on the layer as it was.
func FuzzMutant(f *testing.F) {
	needRoot(f)
	for op := range byte(8) {
		f.Add(op%2, []byte{op, 3, 9, 1, 2, 3, op, 7, 1, 8, 0, 1})
	}
	samples := tartest.Samples()
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		base := samples[int(which)%len(samples)]
		blobs := tartest.Blobs{}
		judge(t, blobs, []image.Layer{blobs.Tar(base), blobs.Tar(tartest.Mutant(base, program))})
	})
}

// fuzzOverlay applies a layer by itself, and rebuilds its tar if that went well.
func fuzzOverlay(t *testing.T, c *tartest.Canary, blobs tartest.Blobs, layer image.Layer, o unpack.Options) {
	replaced := c.Target + ".replaced"
	defer func() {
		for _, dir := range []string{c.Target, replaced} {
			if root, err := unpack.OpenRoot(dir); err == nil {
				if err := errors.Join(root.RemoveContents(), root.Close(), os.Remove(dir)); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	roots := make([]*unpack.Root, 2)
	for i, dir := range []string{c.Target, replaced} {
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

// TestMutants judges some hundred programs in each run of the tests.
func TestMutants(t *testing.T) {
	needRoot(t)
	samples := tartest.Samples()
	for seed := range 100 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		program := make([]byte, 6*(1+rnd.IntN(24)))
		for i := range program {
			program[i] = byte(rnd.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			base, blobs := samples[seed%len(samples)], tartest.Blobs{}
			judge(t, blobs, []image.Layer{blobs.Tar(base), blobs.Tar(tartest.Mutant(base, program))})
			var layers []image.Layer
			for _, l := range tartest.Program(program) {
				layers = append(layers, blobs.Layer(l...))
			}
			judge(t, blobs, layers)
		})
	}
}
