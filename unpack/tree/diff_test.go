package tree_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

func of(tb testing.TB, entries ...tartest.Entry) *tree.Tree {
	tb.Helper()
	blobs := tartest.Blobs{}
	t, err := tree.OfLayers(tb.Context(), []image.Layer{blobs.Layer(entries...)}, blobs, tree.Options{Content: true})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// lines prints changes.
func lines(changes []tree.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s %q %s", c.Kind, c.Path, strings.Join(c.What, ", ")))
	}
	return out
}

// TestDiff is a table of pairs of trees.
func TestDiff(t *testing.T) {
	file := tartest.Entry{Name: "f", Body: "text", Mtime: 1}
	change := func(set func(*tartest.Entry)) []tartest.Entry {
		e := file
		e.PAX = map[string]string{}
		set(&e)
		return []tartest.Entry{e}
	}
	two := []tartest.Entry{tartest.File("a", "1"), tartest.Link("b", "a"), tartest.Link("c", "a")}
	cases := []struct {
		name string
		a, b []tartest.Entry
		o    tree.DiffOptions
		want []string
	}{
		{"same", two, two, tree.DiffOptions{Content: true}, nil},
		{"mode", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.Mode = 0o4755 }), tree.DiffOptions{}, []string{`changed "f" mode 0644 -> 4755`}},
		{"owner", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.GID = 5 }), tree.DiffOptions{}, []string{`changed "f" owner 0:0 -> 0:5`}},
		{"content", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.Body = "TEXT" }), tree.DiffOptions{Content: true}, []string{`changed "f" content`}},
		{"content not asked", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.Body = "TEXT" }), tree.DiffOptions{}, nil},
		{"size", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.Body = "t" }), tree.DiffOptions{Content: true}, []string{`changed "f" size 4 -> 1`}},
		{"time", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.PAX["mtime"] = "-1.5" }), tree.DiffOptions{}, []string{`changed "f" mtime 1970-01-01T00:00:01Z -> 1969-12-31T23:59:58.5Z`}},
		{"time of ages", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.PAX["mtime"] = "400000000000.5" }), tree.DiffOptions{}, []string{`changed "f" mtime 1970-01-01T00:00:01Z -> 400000000000.500000000`}},
		{"times ignored", change(func(*tartest.Entry) {}), change(func(e *tartest.Entry) { e.Mtime = 2 }), tree.DiffOptions{IgnoreTimes: true}, nil},
		{"times of directories ignored", []tartest.Entry{{Name: "d", Type: '5', Mtime: 1}, file}, []tartest.Entry{{Name: "d", Type: '5', Mtime: 2}, {Name: "f", Body: "text", Mtime: 2}}, tree.DiffOptions{IgnoreDirTimes: true}, []string{`changed "f" mtime 1970-01-01T00:00:01Z -> 1970-01-01T00:00:02Z`}},
		{"xattrs", change(func(e *tartest.Entry) {
			e.PAX["SCHILY.xattr.user.a"], e.PAX["SCHILY.xattr.user.b"] = "1", "1"
		}), change(func(e *tartest.Entry) {
			e.PAX["SCHILY.xattr.user.b"], e.PAX["SCHILY.xattr.user.\x1b"] = "2", "1"
		}), tree.DiffOptions{}, []string{`changed "f" xattr "user.\x1b" added, xattr "user.a" removed, xattr "user.b" changed`}},
		{"device", []tartest.Entry{{Name: "n", Type: '3', Major: 1, Minor: 3}}, []tartest.Entry{{Name: "n", Type: '3', Major: 1, Minor: 5}}, tree.DiffOptions{}, []string{`changed "n" device 1:3 -> 1:5`}},
		{"target", []tartest.Entry{tartest.Symlink("l", "a\n")}, []tartest.Entry{tartest.Symlink("l", "b")}, tree.DiffOptions{}, []string{`changed "l" target "a\n" -> "b"`}},
		{"type", []tartest.Entry{tartest.Dir("x"), tartest.File("x/y", "")}, []tartest.Entry{tartest.Symlink("x", "z")}, tree.DiffOptions{}, []string{`changed "x" type directory -> symlink`, `removed "x/y" `}},
		{"link cut", two, []tartest.Entry{tartest.File("a", "1"), tartest.File("b", "1"), tartest.Link("c", "a")}, tree.DiffOptions{Content: true}, []string{`changed "b" hardlink "a" -> "b"`}},
		{"a name less", two, []tartest.Entry{tartest.File("b", "1"), tartest.Link("c", "b")}, tree.DiffOptions{Content: true}, []string{`removed "a" `}},
		{"a name more", two[:2], two, tree.DiffOptions{Content: true}, []string{`added "c" `}},
		{"order", nil, []tartest.Entry{tartest.File("a/b", ""), tartest.File("a!", "")}, tree.DiffOptions{}, []string{`added "a" `, `added "a/b" `, `added "a!" `}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := lines(tree.Diff(of(t, c.a...), of(t, c.b...), c.o)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
