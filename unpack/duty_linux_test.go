package unpack_test

import (
	"errors"
	"path/filepath"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestIS_M5_base_first: the layers are applied in the order of the manifest, to an empty directory.
func TestIS_M5_base_first(t *testing.T) {
	needRoot(t)
	one := entries{file("f", "base"), file("gone", "x"), dir("d"), file("d/a", "1")}
	two := entries{file("f", "middle"), gone("gone"), sym("d", "f")}
	three := entries{file("gone", "back"), {Name: "f", Body: "top", Mode: 0o600}}
	runHazards(t, []hazard{
		{name: "in order", layers: []entries{one, two, three}, want: map[string]string{"f": "file top", "gone": "file back", "d": "link f", "d/a": "-"}},
		{name: "the other way", layers: []entries{three, two, one}, want: map[string]string{"f": "file base", "gone": "file x", "d": "dir", "d/a": "file 1"}},
		{name: "the same twice", layers: []entries{one, one}, want: map[string]string{"f": "file base", "d/a": "file 1"}},
		{name: "an empty one between", layers: []entries{one, {}, two}, want: map[string]string{"f": "file middle", "gone": "-"}},
		{name: "none", layers: nil, want: map[string]string{".": "dir"}},
	})
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(one...)}
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{}); !errors.Is(err, unpack.ErrNotEmpty) {
		t.Errorf("a directory with something in it: %v", err)
	}
}

// TestIS_T1_a_layer_is_a_tar: what is none is refused, whatever its media type and its digests say; and
// an entry that is there twice is met as the later one.
func TestIS_T1_a_layer_is_a_tar(t *testing.T) {
	needRoot(t)
	for name, raw := range map[string][]byte{
		"text":                      []byte("this is no tar, but it is long enough to be taken for a header of one, were nobody to look: " + string(make([]byte, 512))),
		"JSON":                      []byte(`{"schemaVersion":2,"layers":[]}`),
		"a header cut":              tartest.Header(tartest.Entry{Name: "f"}, 0)[:511],
		"a checksum that is wrong":  append(append([]byte{'x'}, tartest.Header(tartest.Entry{Name: "f"}, 0)[1:]...), make([]byte, 1024)...),
		"a file of less than there": tartest.Header(tartest.Entry{Name: "f"}, 5000),
	} {
		for _, mt := range []string{ispec.MediaTypeImageLayer, ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd} {
			blobs := tartest.Blobs{}
			packed := raw
			switch mt {
			case ispec.MediaTypeImageLayerGzip:
				packed = tartest.Gzip(raw)
			case ispec.MediaTypeImageLayerZstd:
				packed = tartest.Zstd(raw)
			}
			s := tartest.NewCanary(t)
			_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Add(mt, packed, raw)}, blobs, s.Target, unpack.Options{})
			if !errors.Is(err, unpack.ErrTar) {
				t.Errorf("%s as %s: %v, want ErrTar", name, mt, err)
			}
			s.Check(t)
		}
	}
	runHazards(t, []hazard{
		{name: "twice", layers: []entries{{file("a", "1"), file("a", "2"), file("./a", "3")}}, want: map[string]string{"a": "file 3"}},
		{name: "an empty tar", layers: []entries{{}}, want: map[string]string{".": "dir"}},
	})
}

// TestIS_T3_hardlinks: to every type that is no directory, of this layer and of those below; the names
// share one inode.
func TestIS_T3_hardlinks(t *testing.T) {
	needRoot(t)
	lower := entries{file("f", "x"), sym("l", "nowhere"), {Name: "p", Type: '6'}, {Name: "n", Type: '3', Major: 1, Minor: 3}}
	links := entries{link("d/f", "f"), link("d/l", "l"), link("d/p", "p"), link("d/n", "/n")}
	want := map[string]string{"d/f": "file x", "d/l": "link nowhere", "d/p": "fifo", "d/n": "char 1:3"}
	runHazards(t, []hazard{
		{name: "of the layer", layers: []entries{append(append(entries{}, lower...), links...)}, want: want},
		{name: "of the layer below", layers: []entries{lower, links}, want: want},
		{name: "of a chain", layers: []entries{lower, {link("a", "f"), link("b", "a")}, {link("c", "b")}}, want: map[string]string{"c": "file x"}},
		{name: "of what this layer hides", layers: []entries{lower, {link("a", "f"), gone("f")}}, want: map[string]string{"a": "file x", "f": "-"}},
		{name: "of nothing", layers: []entries{{link("a", "none")}}, err: unpack.ErrLink},
	})
	blobs := tartest.Blobs{}
	target := filepath.Join(t.TempDir(), "r")
	layers := []image.Layer{blobs.Layer(lower...), blobs.Layer(links...)}
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	for _, name := range []string{"f", "l", "p", "n"} {
		if a, b := nodes[name], nodes["d/"+name]; a.Link == "" && b.Link == "" {
			t.Errorf("%s and d/%s are two files: %+v, %+v", name, name, a, b)
		}
	}
}

// TestIS_T5_whiteouts: they hide what lower layers have, with all below it, are not shown themselves,
// and do nothing to their own layer wherever they stand in it.
func TestIS_T5_whiteouts(t *testing.T) {
	lower := entries{file("a", "1"), file("d/x", "2"), file("d/s/y", "3"), sym("l", "d"), file(".hidden", "4")}
	all := map[string]string{".wh.a": "-", ".wh.d": "-", ".wh.l": "-", "d/.wh.x": "-"}
	with := func(m map[string]string) map[string]string {
		for k, v := range all {
			m[k] = v
		}
		return m
	}
	runHazards(t, []hazard{
		{name: "a file", layers: []entries{lower, {gone("a")}}, want: with(map[string]string{"a": "-", "d/x": "file 2"})},
		{name: "a directory", layers: []entries{lower, {gone("d")}}, want: with(map[string]string{"d": "-", "d/x": "-", "l": "link d"})},
		{name: "a link, not where it leads", layers: []entries{lower, {gone("l")}}, want: with(map[string]string{"l": "-", "d/x": "file 2"})},
		{name: "inside", layers: []entries{lower, {gone("d/x")}}, want: with(map[string]string{"d/x": "-", "d/s/y": "file 3"})},
		{name: "then again", layers: []entries{lower, {gone("a")}, {file("a", "new")}}, want: with(map[string]string{"a": "file new"})},
		{name: "two layers up", layers: []entries{lower, {file("b", "b")}, {gone("a"), gone("b")}}, want: with(map[string]string{"a": "-", "b": "-"})},
		{name: "after its own layer's entry", layers: []entries{lower, {file("a", "new"), gone("a")}}, want: with(map[string]string{"a": "file new"})},
		{name: "before it", layers: []entries{lower, {gone("a"), file("a", "new")}}, want: with(map[string]string{"a": "file new"})},
		{name: "of what its own layer alone has", layers: []entries{lower, {file("own", "new"), gone("own")}}, want: with(map[string]string{"own": "file new", ".wh.own": "-"})},
		{name: "in the base layer", layers: []entries{{file("a", "1"), gone("a"), gone("none")}}, want: with(map[string]string{"a": "file 1"})},
	})
}

// TestIS_T9_windows_attributes: they mean nothing here: no xattr, no other mode, and the tar can be made
// again with them in it.
func TestIS_T9_windows_attributes(t *testing.T) {
	needRoot(t)
	e := file("f", "x")
	e.PAX = map[string]string{
		"MSWINDOWS.fileattr": "32", "MSWINDOWS.rawsd": "AQAAgBQAAAAkAAAAAAAAAAAAAAA=", "MSWINDOWS.mountpoint": "Volume{x}", "LIBARCHIVE.creationtime": "1.5",
	}
	blobs := tartest.Blobs{}
	layer := blobs.Layer(e)
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	n := tree(t, target)["f"]
	if n.Type != "file" || n.Mode != 0o644 || len(n.Xattrs) != 0 {
		t.Errorf("%+v", n)
	}
	rebuilds(t, blobs, layer)
}
