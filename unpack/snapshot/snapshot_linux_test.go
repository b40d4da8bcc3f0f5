package snapshot

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: overlay mounts and owners")
	}
}

func newStore(tb testing.TB, o Options) *Store {
	tb.Helper()
	s, err := Open(filepath.Join(tb.TempDir(), "layers"), o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// mounted gives the tree that the layers show.
func mounted(tb testing.TB, dirs []string) map[string]tartest.Node {
	tb.Helper()
	return mountedAs(tb, dirs, false)
}

func mountedAs(tb testing.TB, dirs []string, userXattr bool) map[string]tartest.Node {
	tb.Helper()
	f, err := Mount(tb.Context(), MountOptions{Layers: dirs, ReadOnly: true, UserXattr: userXattr})
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	nodes, err := tartest.TreeOf(f)
	if err != nil {
		tb.Fatal(err)
	}
	return nodes
}

func merged(tb testing.TB, layers []image.Layer, blobs unpack.Blobs) map[string]tartest.Node {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "rootfs")
	if _, err := unpack.Unpack(tb.Context(), layers, blobs, dir, unpack.Options{}); err != nil {
		tb.Fatal(err)
	}
	nodes, err := tartest.Tree(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return nodes
}

// sameForms proves that layers give the same tree in both forms.
func sameForms(tb testing.TB, layers []image.Layer, blobs unpack.Blobs) map[string]tartest.Node {
	tb.Helper()
	dirs, err := newStore(tb, Options{}).Ensure(tb.Context(), layers, blobs)
	if err != nil {
		tb.Fatal(err)
	}
	got, want := mounted(tb, dirs), merged(tb, layers, blobs)
	for _, line := range tartest.Diff(got, want) {
		tb.Error("overlay against merged: " + line)
	}
	for _, line := range tartest.Diff(copied(tb, CopyOptions{Layers: dirs}), want) {
		tb.Error("copy against merged: " + line)
	}
	return want
}

// copied gives the tree of a copy of the layers.
func copied(tb testing.TB, o CopyOptions) map[string]tartest.Node {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "copy")
	if _, err := Copy(tb.Context(), dir, o); err != nil {
		tb.Fatal(err)
	}
	nodes, err := tartest.Tree(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return nodes
}

// TestBothForms is a table of what a layer by itself cannot say, or could say wrongly.
func TestBothForms(t *testing.T) {
	needRoot(t)
	base := []tartest.Entry{
		{Name: "./", Type: '5', Mode: 0o711, Mtime: 11},
		{Name: "d/", Type: '5', Mode: 0o2770, UID: 5, GID: 6, Mtime: 12, PAX: map[string]string{"SCHILY.xattr.user.x": "1"}},
		{Name: "d/f", Body: "lower", Mtime: 13},
		{Name: "d/s/g", Body: "deep", Mtime: 14},
		tartest.Symlink("l", "d"),
		{Name: "f", Body: "file", Mtime: 15, Mode: 0o4711},
		{Name: "two", Body: "names", Mtime: 16},
		tartest.Link("d/two", "two"),
	}
	cases := map[string][]tartest.Entry{
		"H-07 parent without an entry":        {tartest.File("d/new", "n")},
		"root without an entry":               {tartest.File("new", "n")},
		"H-20 whiteout after the entry":       {tartest.File("d/f", "upper"), tartest.Whiteout("d/f")},
		"H-20 whiteout of a directory, late":  {tartest.Dir("d"), tartest.File("d/n", "n"), tartest.Whiteout("d")},
		"whiteout of a passed directory":      {tartest.File("d/n", "n"), tartest.Whiteout("d")},
		"whiteout, then the directory":        {tartest.Whiteout("d"), tartest.Dir("d"), tartest.File("d/n", "n")},
		"whiteout, then below it":             {tartest.Whiteout("d"), tartest.File("d/s/n", "n")},
		"H-21 opaque late":                    {tartest.File("d/s/n", "n"), tartest.Opaque("d")},
		"H-21 opaque first":                   {tartest.Opaque("d"), tartest.File("d/s/n", "n")},
		"H-21 opaque root":                    {tartest.File("d/n", "n"), tartest.Opaque("")},
		"H-24 whiteout of what is not there":  {tartest.Whiteout("d/none")},
		"H-24 whiteout through a lower link":  {tartest.Whiteout("l/f")},
		"H-24 whiteout of a full directory":   {tartest.Whiteout("d")},
		"H-09 file over directory":            {tartest.File("d", "now a file")},
		"H-09 directory over file":            {tartest.Dir("f")},
		"H-09 directory over link":            {tartest.Dir("l"), tartest.File("l/x", "x")},
		"H-08 below a lower file":             {tartest.File("f/x", "x")},
		"below a lower link":                  {tartest.File("l/x", "x")},
		"below an own link":                   {tartest.Symlink("own", "/d/../d"), tartest.File("own/x", "x")},
		"H-07 hardlink to a lower file":       {tartest.Link("h", "d/f"), tartest.Link("h2", "h")},
		"hardlink to a lower file, then gone": {tartest.Link("h", "d/f"), tartest.Whiteout("d/f")},
		"hardlink to a lower link":            {tartest.Link("h", "l")},
		"H-07 hardlink to one of two names":   {tartest.Link("h", "two"), tartest.Link("d/h", "two")},
		"hardlink to a name that goes":        {tartest.Link("h", "two"), tartest.Whiteout("two")},
		"hardlink replaced":                   {tartest.Link("h", "d/f"), tartest.File("h", "own")},
		"hardlink over a lower file":          {tartest.Link("f", "d/f")},
	}
	for name, entries := range cases {
		t.Run(name, func(t *testing.T) {
			blobs := tartest.Blobs{}
			layers := []image.Layer{blobs.Layer(base...), blobs.Layer(entries...), blobs.Layer(tartest.File("top", "t"))}
			sameForms(t, layers, blobs)
		})
	}
}

// TestIS_T6_H25_random compares both forms, and a copy, on generated layers: all at once beside each other, and one after the
// other.
func TestIS_T6_H25_random(t *testing.T) {
	needRoot(t)
	n := 25
	if v, err := strconv.Atoi(os.Getenv("OCI_TEST_SEEDS")); err == nil {
		n = v
	}
	for seed := range n {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		blobs := tartest.Blobs{}
		var layers []image.Layer
		var text []string
		for range 2 + rnd.IntN(3) {
			entries := randomEntries(rnd)
			layers = append(layers, blobs.Layer(entries...))
			text = append(text, fmt.Sprintf("%q", describe(entries)))
		}
		dir := filepath.Join(t.TempDir(), "rootfs")
		_, errMerged := unpack.Unpack(t.Context(), layers, blobs, dir, unpack.Options{})
		user := seed%2 == 1 // the form for user namespaces, which root can mount too
		store := newStore(t, Options{Jobs: 1 + seed%4, Unpack: unpack.Options{UserXattr: user}})
		dirs, errOverlay := store.Ensure(t.Context(), layers, blobs)
		if errors.Is(errMerged, unpack.ErrLink) && errOverlay == nil {
			continue // a layer by itself learns too late that a link that it replaced had no target
		}
		if (errMerged == nil) != (errOverlay == nil) {
			t.Errorf("seed %d: merged %v, overlay %v\n%s", seed, errMerged, errOverlay, strings.Join(text, "\n"))
			continue
		}
		if errMerged != nil {
			if !errors.Is(errMerged, unpack.ErrLink) && !errors.Is(errMerged, unpack.ErrUnsafePath) {
				t.Errorf("seed %d: %v", seed, errMerged)
			}
			continue
		}
		for i, l := range layers {
			if err := store.WriteTar(t.Context(), l.DiffID, io.Discard); err != nil {
				t.Errorf("seed %d: layer %d cannot be rebuilt: %v\n%s", seed, i+1, err, text[i])
			}
		}
		want, err := tartest.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := tartest.Diff(mountedAs(t, dirs, user), want); len(diff) > 0 {
			t.Errorf("seed %d: overlay against merged:\n%s\nlayers:\n%s", seed, strings.Join(diff, "\n"), strings.Join(text, "\n"))
		}
		store.maxStack = 1 + seed%3
		short, err := store.Ensure(t.Context(), layers, blobs)
		if err != nil || len(short) > store.maxStack {
			t.Errorf("seed %d: %d directories in a stack of at most %d, %v", seed, len(short), store.maxStack, err)
		} else if diff := tartest.Diff(mountedAs(t, short, user), want); len(diff) > 0 {
			t.Errorf("seed %d: short stack against merged:\n%s\nlayers:\n%s", seed, strings.Join(diff, "\n"), strings.Join(text, "\n"))
		}
		if diff := tartest.Diff(copied(t, CopyOptions{Layers: dirs, Unshared: seed%2 == 0}), want); len(diff) > 0 {
			t.Errorf("seed %d: copy against merged:\n%s\nlayers:\n%s", seed, strings.Join(diff, "\n"), strings.Join(text, "\n"))
		}
	}
}

func describe(entries []tartest.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%c %s>%s", max(e.Type, '0'), e.Name, e.Link))
	}
	return out
}

func randomEntries(rnd *rand.Rand) []tartest.Entry {
	path := func() string {
		p := ""
		for range 1 + rnd.IntN(3) {
			p += "/" + string(rune('a'+rnd.IntN(3)))
		}
		return p[1:]
	}
	var list []tartest.Entry
	for i := range 3 + rnd.IntN(8) {
		var e tartest.Entry
		switch rnd.IntN(12) {
		case 0, 1, 2:
			e = tartest.Dir(path())
			e.Mode = []int64{0o755, 0o2775, 0o500}[rnd.IntN(3)]
		case 3, 4, 5, 6:
			e = tartest.File(path(), fmt.Sprint(rnd.IntN(100)))
		case 7:
			e = tartest.Symlink(path(), []string{"a", "/b", "../c", "c/a", "nowhere"}[rnd.IntN(5)])
		case 8:
			e = tartest.Link(path(), path())
		case 9, 10:
			e = tartest.Whiteout(path())
		default:
			e = tartest.Opaque(path())
		}
		e.Mtime, e.UID, e.GID = int64(1000+i), int64(rnd.IntN(3)), int64(rnd.IntN(3))
		list = append(list, e)
	}
	return list
}

// claims are layers whose entries say of themselves what overlayfs would act on, if it were let through.
func claims() ([]image.Layer, tartest.Blobs) {
	pax := map[string]string{"SCHILY.xattr.user.kept": "x"}
	for _, space := range []string{"trusted.", "user."} {
		for name, value := range map[string]string{"opaque": "y", "whiteout": "y", "redirect": "/e", "metacopy": "", "origin": "\x00", "nlink": "U+1", "impure": "y", "overlay.opaque": "y", "overlay.whiteout": ""} {
			pax["SCHILY.xattr."+space+"overlay."+name] = value
		}
	}
	blobs := tartest.Blobs{}
	return []image.Layer{
		blobs.Layer(tartest.File("d/low", "1"), tartest.File("e/other", "2"), tartest.File("f", "low"), tartest.File("x/a", "a"), tartest.File("x/b", "b")),
		blobs.Layer(
			tartest.Entry{Name: "./", Type: '5', PAX: pax}, tartest.Entry{Name: "d/", Type: '5', PAX: pax}, tartest.Entry{Name: "f", Body: "high", PAX: pax},
			tartest.Entry{Name: "x/", Type: '5', PAX: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "x", "SCHILY.xattr.user.overlay.opaque": "x"}},
			tartest.Entry{Name: "x/a", PAX: pax}, // without content: the mark of a whiteout since Linux 6.7
			tartest.Entry{Name: "s", Type: '2', Link: "d", PAX: map[string]string{"SCHILY.xattr.trusted.overlay.whiteout": ""}},
		),
	}, blobs
}

// TestH26_claims: no entry becomes a whiteout, an opaque or a moved directory by its own saying, in neither form.
func TestH26_claims(t *testing.T) {
	needRoot(t)
	layers, blobs := claims()
	want := merged(t, layers, blobs)
	if len(want) != 10 || want["d"].Xattrs["user.kept"] != "x" || want["x/a"].Type != "file" {
		t.Errorf("the tree is %v", want)
	}
	for _, user := range []bool{false, true} {
		dirs, err := newStore(t, Options{Unpack: unpack.Options{UserXattr: user}}).Ensure(t.Context(), layers, blobs)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range tartest.Diff(mountedAs(t, dirs, user), want) {
			t.Errorf("overlay, userxattr=%v: %s", user, line)
		}
		for _, line := range tartest.Diff(copied(t, CopyOptions{Layers: dirs}), want) {
			t.Errorf("copy, userxattr=%v: %s", user, line)
		}
	}
}

// TestLayerTwice: an image may have a layer twice (H-71), and overlayfs takes a directory once.
func TestLayerTwice(t *testing.T) {
	needRoot(t)
	a := []tartest.Entry{
		{Name: "d/", Type: '5', Mode: 0o711, Mtime: 5},
		tartest.File("d/f", "a"), tartest.File("p/q", "a"), tartest.File("g", "a"), tartest.Whiteout("w"),
		{Name: "o/", Type: '5', Mtime: 6},
		tartest.Opaque("o"), tartest.File("o/a", "a"), tartest.Link("h", "low"),
	}
	between := map[string][]tartest.Entry{
		"nothing":   {},
		"whiteouts": {tartest.Whiteout("d"), tartest.Whiteout("p/q"), tartest.Whiteout("g"), tartest.Whiteout("o")},
		"opaque":    {tartest.Opaque("d"), tartest.Opaque("p"), tartest.File("o/b", "b"), tartest.File("w", "b")},
		"files":     {tartest.File("d", "b"), tartest.File("p", "b"), tartest.File("g", "b"), tartest.File("o/a", "b"), tartest.File("low", "b")},
		"modes":     {{Name: "d/", Type: '5', Mode: 0o700}, {Name: "p/", Type: '5', Mode: 0o500, Mtime: 7}, {Name: "./", Type: '5', Mode: 0o711}},
		"root":      {tartest.Opaque(""), tartest.File("low", "b")},
	}
	for name, entries := range between {
		t.Run(name, func(t *testing.T) {
			blobs := tartest.Blobs{}
			base := blobs.Layer(tartest.File("low", "low"), tartest.File("w", "low"), tartest.File("o/low", "low"), tartest.File("p/low", "low"))
			twice, b := blobs.Layer(a...), blobs.Layer(entries...)
			sameForms(t, []image.Layer{base, twice, b, twice}, blobs)
			sameForms(t, []image.Layer{base, twice, twice, b, b, twice, b}, blobs)
		})
	}
}

func TestEnsureOnce(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	a := blobs.GzipTar(tartest.Archive(tartest.File("a", "a")))
	b := blobs.ZstdTar(tartest.Archive(tartest.File("b", "b")))
	s := newStore(t, Options{})
	dirs, err := s.Ensure(t.Context(), []image.Layer{a, b, a}, blobs)
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) != 2 || dirs[1] != filepath.Join(s.layerDir(a.DiffID), filesDir) {
		t.Errorf("stack %q", dirs)
	}
	// What is there is not opened again.
	if _, err := s.Ensure(t.Context(), []image.Layer{a, b}, tartest.Blobs{}); err != nil {
		t.Errorf("second Ensure: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, stagingDir)); len(entries) > 0 {
		t.Errorf("staging holds %v", entries)
	}
	for _, l := range []image.Layer{a, b} {
		sum := digest.SHA256.Digester()
		if err := s.WriteTar(t.Context(), l.DiffID, sum.Hash()); err != nil || sum.Digest() != l.DiffID {
			t.Errorf("WriteTar: %v, %s", err, sum.Digest())
		}
	}
}
