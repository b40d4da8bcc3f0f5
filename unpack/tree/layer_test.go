package tree_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// show lists a tree: directories end in a slash, contents and targets follow; an implied directory has a question
// mark, and names of one file the first of them.
func show(t *tree.Tree, contents map[string]string) string {
	var list []string
	first := map[*tree.Node]string{}
	_ = t.Walk(func(path string, n *tree.Node) error {
		line := path
		switch {
		case path == "":
			return nil
		case n.Kind == unpack.Directory && n.Implicit:
			line += "/?"
		case n.Kind == unpack.Directory:
			line += "/"
		case n.Kind == unpack.Symlink:
			line += "->" + n.Link
		default:
			line += "=" + contents[n.Digest.String()]
		}
		if f, ok := first[n]; ok {
			line += "@" + f
		} else {
			first[n] = path
		}
		list = append(list, line)
		return nil
	})
	return strings.Join(list, " ")
}

// TestIS_T3_T4_T5_T6_model is a table of what layer.md says of two layers, written by hand: the oracle has to be
// right before anything is held against it.
func TestIS_T3_T4_T5_T6_model(t *testing.T) {
	base := []tartest.Entry{
		tartest.Dir("d"), tartest.File("d/f", "1"), tartest.File("d/s/g", "2"), tartest.Symlink("l", "d"), tartest.File("x", "3"),
	}
	const same = "d/ d/f=1 d/s/? d/s/g=2 l->d x=3"
	cases := []struct {
		name  string
		layer []tartest.Entry
		want  string // or the error
	}{
		{"nothing", nil, same},
		{"add", []tartest.Entry{tartest.File("d/n", "n")}, "d/ d/f=1 d/n=n d/s/? d/s/g=2 l->d x=3"},
		{"replace a file", []tartest.Entry{tartest.File("x", "n")}, "d/ d/f=1 d/s/? d/s/g=2 l->d x=n"},
		{"IS-T4 file over directory", []tartest.Entry{tartest.File("d", "n")}, "d=n l->d x=3"},
		{"IS-T4 directory over file", []tartest.Entry{tartest.Dir("x")}, "d/ d/f=1 d/s/? d/s/g=2 l->d x/"},
		{"IS-T4 directory over directory", []tartest.Entry{tartest.Dir("d/s")}, "d/ d/f=1 d/s/ d/s/g=2 l->d x=3"},
		{"IS-T4 directory over link", []tartest.Entry{tartest.Dir("l")}, "d/ d/f=1 d/s/? d/s/g=2 l/ x=3"},
		{"IS-T5 whiteout", []tartest.Entry{tartest.Whiteout("d/f")}, "d/ d/s/? d/s/g=2 l->d x=3"},
		{"IS-T5 whiteout of a tree", []tartest.Entry{tartest.Whiteout("d")}, "l->d x=3"},
		{"IS-T5 whiteout after", []tartest.Entry{tartest.File("d/f", "n"), tartest.Whiteout("d/f")}, "d/ d/f=n d/s/? d/s/g=2 l->d x=3"},
		{"IS-T5 whiteout before", []tartest.Entry{tartest.Whiteout("d/f"), tartest.File("d/f", "n")}, "d/ d/f=n d/s/? d/s/g=2 l->d x=3"},
		{"IS-T5 whiteout of what is passed", []tartest.Entry{tartest.File("d/n", "n"), tartest.Whiteout("d")}, "d/? d/n=n l->d x=3"},
		{"IS-T6 opaque after", []tartest.Entry{tartest.File("d/n", "n"), tartest.Opaque("d")}, "d/ d/n=n l->d x=3"},
		{"IS-T6 opaque before", []tartest.Entry{tartest.Opaque("d"), tartest.File("d/s/n", "n")}, "d/ d/s/? d/s/n=n l->d x=3"},
		{"IS-T6 opaque root", []tartest.Entry{tartest.File("n", "n"), tartest.Opaque("")}, "n=n"},
		{"IS-T3 hardlink", []tartest.Entry{tartest.Link("h", "d/f")}, "d/ d/f=1 d/s/? d/s/g=2 h=1@d/f l->d x=3"},
		{"IS-T3 hardlink, target goes", []tartest.Entry{tartest.Link("h", "d/f"), tartest.Whiteout("d/f")}, "d/ d/s/? d/s/g=2 h=1 l->d x=3"},
		{"IS-T3 hardlink, target replaced", []tartest.Entry{tartest.Link("h", "x"), tartest.File("x", "n")}, "d/ d/f=1 d/s/? d/s/g=2 h=3 l->d x=n"},
		{"IS-T3 hardlink to a link", []tartest.Entry{tartest.Link("h", "l")}, "d/ d/f=1 d/s/? d/s/g=2 h->d l->d@h x=3"},
		{"IS-T3 hardlink to nothing", []tartest.Entry{tartest.Link("h", "none")}, "invalid hardlink"},
		{"IS-T3 hardlink to what went", []tartest.Entry{tartest.Whiteout("x"), tartest.Link("h", "x")}, "invalid hardlink"},
		{"IS-T3 hardlink to a directory", []tartest.Entry{tartest.Link("h", "d")}, "invalid hardlink"},
		{"IS-T3 hardlink to itself", []tartest.Entry{tartest.Link("x", "x")}, "invalid hardlink"},
		{"below an own link", []tartest.Entry{tartest.Symlink("o", "/d/s/.."), tartest.File("o/n", "n")}, "d/ d/f=1 d/n=n d/s/? d/s/g=2 l->d o->/d/s/.. x=3"},
		{"below a lower link", []tartest.Entry{tartest.File("l/n", "n")}, "d/ d/f=1 d/s/? d/s/g=2 l/? l/n=n x=3"},
		{"below a lower file", []tartest.Entry{tartest.File("x/n", "n")}, "d/ d/f=1 d/s/? d/s/g=2 l->d x/? x/n=n"},
		{"links in a circle", []tartest.Entry{tartest.Symlink("o", "p"), tartest.Symlink("p", "o"), tartest.File("o/n", "n")}, "unsafe path"},
		{"up and out", []tartest.Entry{tartest.Symlink("o", "../../../d"), tartest.File("o/n", "n")}, "d/ d/f=1 d/n=n d/s/? d/s/g=2 l->d o->../../../d x=3"},
		{"the last entry counts", []tartest.Entry{tartest.File("x", "n"), tartest.Dir("x"), tartest.File("x", "m")}, "d/ d/f=1 d/s/? d/s/g=2 l->d x=m"},
		{"AUFS", []tartest.Entry{tartest.File(".wh..wh.plnk/1", "n"), tartest.Link("p", ".wh..wh.plnk/1"), tartest.Link("q", ".wh..wh.plnk/1"), tartest.File(".wh..wh.aufs", "")}, "d/ d/f=1 d/s/? d/s/g=2 l->d p=n q=n@p x=3"},
		{"bare whiteout", []tartest.Entry{tartest.File("d/.wh.", "")}, "invalid whiteout"},
		{"whiteout that is a directory", []tartest.Entry{tartest.Dir(".wh.d")}, "invalid whiteout"},
		{"device 0/0", []tartest.Entry{{Name: "dev", Type: '3'}}, "device cannot be made"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			blobs := tartest.Blobs{}
			layers := []image.Layer{blobs.Layer(base...), blobs.Layer(c.layer...)}
			contents := map[string]string{}
			for _, body := range []string{"1", "2", "3", "n", "m", ""} {
				contents[tartest.Blobs{}.Tar([]byte(body)).DiffID.String()] = body
			}
			got, err := tree.OfLayers(t.Context(), layers, blobs, tree.Options{Content: true})
			if err != nil {
				var typed *unpack.Error
				if !errors.As(err, &typed) || typed.Layer != 2 || typed.Digest != layers[1].Descriptor.Digest || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got error %v, want %s", err, c.want)
				}
				return
			}
			if s := show(got, contents); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
			n := 0
			_ = got.Walk(func(string, *tree.Node) error { n++; return nil })
			if n != got.Len() {
				t.Errorf("Len is %d, and there are %d paths", got.Len(), n)
			}
		})
	}
}

// TestNames: hardlinks share a node that knows how many names it has, in whatever layer they come and go.
func TestNames(t *testing.T) {
	blobs := tartest.Blobs{}
	layers := []image.Layer{
		blobs.Layer(tartest.File("a", "1"), tartest.Link("b", "a"), tartest.Link("d/c", "a")),
		blobs.Layer(tartest.Whiteout("d"), tartest.Link("e", "b")),
		blobs.Layer(tartest.File("a", "2"), tartest.Entry{Name: "./", Type: '5', Mode: 0o700, UID: 7, Mtime: 9}),
	}
	got, err := tree.OfLayers(t.Context(), layers, blobs, tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b, e := got.Lookup("a"), got.Lookup("b"), got.Lookup("e")
	if b != e || a == b || b.Names != 2 || a.Names != 1 || b.Layer != 1 || a.Layer != 3 || got.Lookup("d") != nil || got.Lookup("d/c") != nil || got.Lookup("a/x") != nil {
		t.Errorf("a %+v b %+v e %+v", a, b, e)
	}
	if r := got.Lookup(""); r != got.Root || r.Mode != 0o700 || r.UID != 7 || r.Sec != 9 || r.Layer != 3 {
		t.Errorf("root %+v", r)
	}
}

// TestLimits: what does not fit into memory is refused before it is there.
func TestLimits(t *testing.T) {
	deep := strings.Repeat("d/", 200)
	for name, layers := range map[string][][]tartest.Entry{
		"implied directories": {{tartest.File(deep+"a", "")}},
		"in two layers":       {{tartest.Dir("a"), tartest.Dir("b"), tartest.Dir("c"), tartest.Dir("e")}, {tartest.Dir("f"), tartest.Dir("g"), tartest.Dir("h"), tartest.Dir("i"), tartest.Dir("j"), tartest.Dir("k")}},
	} {
		blobs := tartest.Blobs{}
		var list []image.Layer
		for _, l := range layers {
			list = append(list, blobs.Layer(l...))
		}
		if _, err := tree.OfLayers(t.Context(), list, blobs, tree.Options{Limits: unpack.Limits{Entries: 10}}); !errors.Is(err, unpack.ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	blobs := tartest.Blobs{}
	var many []tartest.Entry
	for i := range 50 {
		many = append(many, tartest.Entry{Name: fmt.Sprint(i), PAX: map[string]string{"SCHILY.xattr.user.x": strings.Repeat("x", 1000)}})
	}
	if _, err := tree.OfLayers(t.Context(), []image.Layer{blobs.Layer(many...)}, blobs, tree.Options{Limits: unpack.Limits{LogBytes: 20_000}}); !errors.Is(err, unpack.ErrLimit) {
		t.Error(err)
	}
}

// TestLogs: a layer that was not unpacked is read from its blob, and another error of a log ends it.
func TestLogs(t *testing.T) {
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(tartest.File("a", "1")), blobs.Layer(tartest.File("b", "1"))}
	broken := errors.New("broken")
	for _, logErr := range []error{fs.ErrNotExist, broken} {
		got, err := tree.OfLayers(t.Context(), layers, blobs, tree.Options{Logs: func(image.Layer) (io.ReadCloser, error) { return nil, logErr }})
		if errors.Is(logErr, fs.ErrNotExist) && (err != nil || got.Len() != 3) || errors.Is(logErr, broken) && !errors.Is(err, broken) {
			t.Errorf("%v: %v", logErr, err)
		}
	}
	forged := layers[0]
	forged.DiffID = layers[1].DiffID
	if _, err := tree.OfLayers(t.Context(), []image.Layer{forged}, blobs, tree.Options{}); !errors.Is(err, unpack.ErrDiffID) {
		t.Error(err)
	}
}
