package unpack_test

import (
	"fmt"
	"testing"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH63_many_times: layers that repeat one thing many times, each of which once took time with the square of how many they
// are: minutes to hours, so that the test would have ended by its time limit.
func TestH63_many_times(t *testing.T) {
	needRoot(t)
	const n = 8_000
	repeat := func(each func(i int) entries) (list entries) {
		for i := range n {
			list = append(list, each(i)...)
		}
		return list
	}
	name := func(dir string, i int) string { return fmt.Sprintf("%s/%05d", dir, i) }
	device := func(name string) tartest.Entry { e := null; e.Name = name; return e }
	for what, c := range map[string]struct {
		form                     unpack.Form
		layers                   []entries
		links, replaced, devices int
	}{
		"links to one file of a layer below": {
			unpack.Overlay, []entries{repeat(func(i int) entries { return entries{link(name("l", i), "f")} })}, n, 0, 0,
		},
		"links to links": {
			unpack.Overlay, []entries{repeat(func(i int) entries {
				if i == 0 {
					return entries{link(name("l", i), "f")}
				}
				return entries{link(name("l", i), name("l", i-1))}
			})}, n, 0, 0,
		},
		"links that files replace": {
			unpack.Overlay, []entries{
				append(repeat(func(i int) entries { return entries{link(name("l", i), "f")} }),
					repeat(func(i int) entries { return entries{file(name("l", i), "")} })...),
			}, 0, n, 0,
		},
		"links, and whiteouts of them": {
			unpack.Overlay, []entries{
				append(repeat(func(i int) entries { return entries{link(name("l", i), "f")} }),
					repeat(func(i int) entries { return entries{gone(name("l", i))} })...),
			}, n, 0, 0,
		},
		"devices that files replace": {
			unpack.Merged, []entries{
				repeat(func(i int) entries { return entries{device(name("d", i))} }),
				append(entries{device("e")}, repeat(func(i int) entries { return entries{file(name("d", i), "")} })...),
			}, 0, 0, 1,
		},
		"an opaque directory said many times": {
			unpack.Merged, []entries{
				repeat(func(i int) entries { return entries{file(name("d", i), ""), clear("d")} }),
			}, 0, 0, 0,
		},
	} {
		t.Run(what, func(t *testing.T) {
			root, err := unpack.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			blobs := tartest.Blobs{}
			var res unpack.LayerResult
			for _, l := range c.layers {
				if res, err = unpack.ApplyLayer(t.Context(), blobs.Layer(l...), blobs, root, c.form, unpack.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if len(res.Links) != c.links || len(res.ReplacedLinks) != c.replaced || len(res.Devices) != c.devices {
				t.Errorf("%d links, %d replaced, %d devices", len(res.Links), len(res.ReplacedLinks), len(res.Devices))
			}
		})
	}
}
