package mtree_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/mtree"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// TestWrite: the manifest of an image, with every kind of file and odd names.
func TestWrite(t *testing.T) {
	blobs := tartest.Blobs{}
	layer := blobs.Layer(
		tartest.Dir("d"),
		tartest.Entry{Name: "d/f \xff", Body: "text", Mode: 0o4711, UID: 7, GID: 8, Mtime: -5, PAX: map[string]string{"mtime": "-4.5", "SCHILY.xattr.user.a b": "\x00v"}},
		tartest.Link("z", "d/f \xff"), tartest.Symlink("#s", "a\\b*"), tartest.Dir("d/e"),
		tartest.Entry{Name: "c", Type: '3', Major: 1, Minor: 3, Mode: -1}, tartest.Entry{Name: "b", Type: '4', Major: 8}, tartest.Entry{Name: "p", Type: '6'},
	)
	tr, err := tree.OfLayers(context.Background(), []image.Layer{layer}, blobs, tree.Options{Content: true})
	if err != nil {
		t.Fatal(err)
	}
	words, err := mtree.ParseKeywords("size type,uid,gid,mode,link,nlink,time,tar_time,sha256,xattrs")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := mtree.OfTree(tr).Write(&b, words, "image: an\nimage"); err != nil {
		t.Fatal(err)
	}
	const sum = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
	want := `#mtree
# image: an image
. type=dir uid=0 gid=0 mode=0755 time=0.000000000 tar_time=0.000000000
    \043s size=4 type=link uid=0 gid=0 mode=0777 link=a\\b\052 nlink=1 time=0.000000000 tar_time=0.000000000
    b size=0 type=block uid=0 gid=0 mode=0644 nlink=1 time=0.000000000 tar_time=0.000000000
    c size=0 type=char uid=0 gid=0 mode=0 nlink=1 time=0.000000000 tar_time=0.000000000
    p size=0 type=fifo uid=0 gid=0 mode=0644 nlink=1 time=0.000000000 tar_time=0.000000000
    z size=4 type=file uid=7 gid=8 mode=04711 nlink=2 time=-5.500000000 tar_time=-5.000000000 sha256digest=` + sum + ` xattr.user.a\040b=AHY=
    d type=dir uid=0 gid=0 mode=0755 time=0.000000000 tar_time=0.000000000
        f\040\377 size=4 type=file uid=7 gid=8 mode=04711 nlink=2 time=-5.500000000 tar_time=-5.000000000 sha256digest=` + sum + ` xattr.user.a\040b=AHY=
        e type=dir uid=0 gid=0 mode=0755 time=0.000000000 tar_time=0.000000000
        ..
    ..
..
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	if _, err := mtree.ParseKeywords("uid,flags"); !errors.Is(err, mtree.ErrKeyword) || !strings.Contains(err.Error(), `"flags"`) {
		t.Errorf("%v", err)
	}
}

// unvis decodes as unvis(3) does, as far as names can need it.
func unvis(tb testing.TB, s string) string {
	tb.Helper()
	var out []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\':
			out = append(out, s[i])
		case s[i+1] == '\\':
			out = append(out, '\\')
			i++
		default:
			out = append(out, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
		}
	}
	return string(out)
}

// FuzzVis: a name is one word of plain ASCII, begins no comment, and is decoded to itself.
func FuzzVis(f *testing.F) {
	for _, s := range []string{"", "plain", "a b", "\\", "\\040", "\xff\x00\n", "#", "é*?[", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := mtree.Vis(s)
		if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || strings.HasPrefix(v, "#") {
			t.Errorf("%q is written as %q", s, v)
		}
		if got := unvis(t, v); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	})
}
