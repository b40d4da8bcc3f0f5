package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// FuzzForms: layers that a program describes, and mutants of real ones, give the same tree unpacked into
// one directory and mounted layer by layer, or an error in both; nothing outside changes and nothing is left
// in this process.
func FuzzForms(f *testing.F) {
	if os.Geteuid() != 0 {
		f.Skip("mounts as root")
	}
	for op := range byte(16) {
		f.Add(byte(0), []byte{0, op, 1, 2, 3, 4, op, 1, 2, 3, 4, 5, 15, 0, 0, 0, 0, 0, op, 4, op, 1, 7, 8, 10, 1, 0, 0, 1, 2})
		f.Add(1+op%2, []byte{op, op, 9, op, 2, 3})
	}
	samples := tartest.Samples()
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		blobs := tartest.Blobs{}
		var layers []image.Layer
		if n := int(which) % (1 + len(samples)); n > 0 {
			base := samples[n-1]
			layers = []image.Layer{blobs.Tar(base), blobs.GzipTar(tartest.Mutant(base, program))}
		} else {
			for _, l := range tartest.Program(program) {
				layers = append(layers, blobs.Layer(l...))
			}
		}
		c := tartest.NewCanary(t)
		leaks := tartest.Leaks(t)
		forms(t, c, blobs, layers)
		c.Check(t)
		leaks()
	})
}

func forms(t *testing.T, c *tartest.Canary, blobs tartest.Blobs, layers []image.Layer) {
	t.Helper()
	if err := os.Mkdir(c.Target, 0o755); err != nil {
		t.Fatal(err)
	}
	o := unpack.Options{Devices: unpack.DeviceAny, Limits: unpack.Limits{FileBytes: 1 << 20, LayerBytes: 4 << 20, TotalBytes: 8 << 20}}
	merged := filepath.Join(c.Target, "merged")
	_, errMerged := unpack.Unpack(t.Context(), layers, blobs, merged, o)
	s, err := Open(filepath.Join(c.Target, "layers"), Options{Unpack: o})
	if err != nil {
		t.Fatal(err)
	}
	dirs, errStack := s.Ensure(t.Context(), layers, blobs)
	c.Check(t)
	if (errMerged == nil) != (errStack == nil) {
		t.Errorf("merged: %v\nlayer by layer: %v", errMerged, errStack)
	}
	if errMerged != nil || errStack != nil {
		if _, err := os.Lstat(merged); err == nil && errMerged != nil {
			t.Errorf("the target is there after %v", errMerged)
		}
		return
	}
	m, err := Mount(t.Context(), MountOptions{Layers: dirs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want, err := tartest.Tree(merged)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tartest.TreeOf(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range tartest.Diff(got, want) {
		t.Error(line)
	}
}
