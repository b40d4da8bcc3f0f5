package repack_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// diff gives the differences of two trees.
func diff(a, b *tree.Tree) []tree.Change { return tree.Diff(a, b, tree.DiffOptions{Content: true}) }

// modelled gives the tree of one layer.
func modelled(tb testing.TB, entries ...tartest.Entry) *tree.Tree {
	tb.Helper()
	blobs := tartest.Blobs{}
	t, err := tree.OfLayers(context.Background(), []image.Layer{blobs.Layer(entries...)}, blobs, tree.Options{Content: true})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// TestIS_T7_plan: which entries a change needs, in their order. Only names are compared, "name -> target" of a
// hardlink; content and attributes are for the round trip.
func TestIS_T7_plan(t *testing.T) {
	type entries = []tartest.Entry
	dir, file, link, symlink := tartest.Dir, tartest.File, tartest.Link, tartest.Symlink
	for _, c := range []struct {
		name          string
		before, after entries
		masks         []string
		want          []string
	}{
		{"nothing", entries{dir("d"), file("d/f", "1")}, entries{dir("d"), file("d/f", "1")}, nil, nil},
		{"added, with its directories", entries{dir("d"), dir("d/e")}, entries{dir("d"), dir("d/e"), file("d/e/f", "")}, nil, []string{"d/", "d/e/", "d/e/f"}},
		{"removed", entries{dir("d"), file("d/f", "")}, entries{dir("d")}, nil, []string{"d/", "d/.wh.f"}},
		{"whiteouts before siblings", entries{dir("d"), file("d/z", ""), dir("d/y")}, entries{dir("d"), file("d/a", "")}, nil, []string{"d/", "d/.wh.y", "d/.wh.z", "d/a"}},
		{"a removed directory at once", entries{dir("d"), dir("d/e"), file("d/e/f", "")}, entries{}, nil, []string{".wh.d"}},
		{"directory to file", entries{dir("d"), file("d/f", "")}, entries{file("d", "")}, nil, []string{"d"}},
		{"directory to symlink", entries{dir("d"), file("d/f", "")}, entries{symlink("d", "e")}, nil, []string{"d"}},
		{"file to directory", entries{file("d", "")}, entries{dir("d"), file("d/f", "")}, nil, []string{"d/", "d/f"}},
		{"attributes of the root", entries{}, entries{{Name: "./", Type: '5', Mode: 0o700}}, nil, []string{"./"}},
		{"byte order, not the one of paths", entries{}, entries{dir("a"), file("a/b", ""), file("a-b", ""), file("a.b", "")}, nil, []string{"a/", "a/b", "a-b", "a.b"}},
		{"new hardlinks", entries{}, entries{file("b", "1"), link("a", "b"), link("c", "a")}, nil, []string{"a", "b -> a", "c -> a"}},
		{"one more name of an old file", entries{file("b", "1")}, entries{file("b", "1"), link("a", "b")}, nil, []string{"a", "b -> a"}},
		{"one name less", entries{file("a", "1"), link("b", "a"), link("c", "a")}, entries{file("a", "1"), link("c", "a")}, nil, []string{".wh.b"}},
		{"one name gets a file of its own", entries{file("a", "1"), link("b", "a")}, entries{file("a", "1"), file("b", "2")}, nil, []string{"b"}},
		{"the same, equal", entries{file("a", "1"), link("b", "a")}, entries{file("a", "1"), file("b", "1")}, nil, []string{"b"}},
		{"the larger part stays", entries{file("a", "1"), link("b", "a"), link("c", "a")}, entries{file("a", "1"), file("b", "1"), link("c", "b")}, nil, []string{"a"}},
		{"two files become one", entries{file("a", "1"), file("b", "1")}, entries{file("a", "1"), link("b", "a")}, nil, []string{"a", "b -> a"}},
		{"the shared file changes", entries{file("a", "1"), link("b", "a")}, entries{file("a", "2"), link("b", "a")}, nil, []string{"a", "b -> a"}},
		{"masked", entries{dir("v"), file("v/f", ""), dir("vv")}, entries{dir("v"), file("v/g", ""), dir("vv"), file("vv/f", "")}, []string{"/v"}, []string{"vv/", "vv/f"}},
		{"masked names alone touched it", entries{dir("e")}, entries{{Name: "e", Type: '5', Mtime: 9}, file("e/m", "")}, []string{"e/m"}, nil},
		{"and others too", entries{dir("e")}, entries{{Name: "e", Type: '5', Mtime: 9}, file("e/m", ""), file("e/n", "")}, []string{"e/m"}, []string{"e/", "e/n"}},
		{"and its mode", entries{dir("e")}, entries{{Name: "e", Type: '5', Mtime: 9, Mode: 0o700}, file("e/m", "")}, []string{"e/m"}, []string{"e/"}},
		{"a masked name of a shared file", entries{file("a", "1"), link("m", "a")}, entries{file("a", "2"), link("m", "a")}, []string{"m"}, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := modelled(t, c.before...), modelled(t, c.after...)
			plan, err := repack.NewPlan(before, after, diff(before, after), repack.PlanOptions{Masks: c.masks})
			if err != nil {
				t.Fatal(err)
			}
			if got := repack.Names(plan); !slices.Equal(got, c.want) {
				t.Errorf("entries differ:\n%s", cmp.Diff(c.want, got))
			}
			if (plan.Changes() == 0) != (len(c.want) == 0) {
				t.Errorf("%d changes", plan.Changes())
			}
		})
	}
}

// TestIS_T7_reserved_names: a file whose name means a deletion is an error that names it, at any depth; one that
// is there already and does not change cannot be.
func TestIS_T7_reserved_names(t *testing.T) {
	after := modelled(t, tartest.Dir("d"), tartest.File("d/f", ""))
	for _, name := range []string{".wh.f", ".wh.", ".wh..wh..opq"} {
		changes := []tree.Change{{Path: "d/" + name, Kind: tree.Added, New: after.Lookup("d/f")}}
		_, err := repack.NewPlan(tree.New(), after, changes, repack.PlanOptions{})
		var e *repack.Error
		if !errors.As(err, &e) || !errors.Is(err, repack.ErrName) || e.Subject != "d/"+name || e.Clause.ID != "IS-T7" {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := repack.NewPlan(tree.New(), after, changes, repack.PlanOptions{Masks: []string{"d"}}); err != nil {
			t.Errorf("%q, masked: %v", name, err)
		}
	}
}

// TestIS_T7_unlayered: a socket has no entry, nor has what would be a whiteout to overlayfs; what one took the place of is
// removed. What a file that is mounted over another one holds is not the image's.
func TestIS_T7_unlayered(t *testing.T) {
	before := modelled(t, tartest.File("s", ""))
	socket := &tree.Node{Kind: unpack.Socket, Names: 1}
	whiteout := &tree.Node{Kind: unpack.CharDevice, Names: 1}
	mounted := &tree.Node{Kind: unpack.Regular, Size: 1, Mount: true, Names: 1}
	for _, c := range []struct {
		change tree.Change
		want   []string
	}{
		{tree.Change{Path: "new", Kind: tree.Added, New: socket}, nil},
		{tree.Change{Path: "s", Kind: tree.Changed, What: []string{"type"}, Old: before.Lookup("s"), New: socket}, []string{".wh.s"}},
		{tree.Change{Path: "new", Kind: tree.Added, New: whiteout}, nil},
		{tree.Change{Path: "s", Kind: tree.Changed, What: []string{"type"}, Old: before.Lookup("s"), New: whiteout}, []string{".wh.s"}},
		{tree.Change{Path: "new", Kind: tree.Added, New: mounted}, nil},
	} {
		plan, err := repack.NewPlan(before, tree.New(), []tree.Change{c.change}, repack.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := repack.Names(plan); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.change.Path, got, c.want)
		}
	}
}
