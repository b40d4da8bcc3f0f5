package repack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: owners and devices")
	}
}

// read gives the tree in a directory.
func read(tb testing.TB, dir string) *tree.Tree {
	tb.Helper()
	f := open(tb, dir)
	t, err := tree.OfDir(context.Background(), f, tree.DirOptions{Content: true})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func open(tb testing.TB, dir string) *os.File {
	tb.Helper()
	f, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return f
}

// lines prints differences.
func lines(changes []tree.Change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%s %q %s\n", c.Kind, c.Path, strings.Join(c.What, ", "))
	}
	return b.String()
}

// pack plans and writes the layer from before to what dir holds.
func pack(tb testing.TB, before *tree.Tree, dir string, o repack.Options) (repack.Layer, []byte) {
	tb.Helper()
	after := read(tb, dir)
	plan, err := repack.NewPlan(before, after, diff(before, after), repack.PlanOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	layer, err := plan.Write(context.Background(), open(tb, dir), &b, o)
	if err != nil {
		tb.Fatal(err)
	}
	if layer.Entries != plan.Entries() {
		tb.Fatalf("%d entries, planned were %d", layer.Entries, plan.Entries())
	}
	return layer, b.Bytes()
}

// TestRoundTrip changes root file systems at random and wants the new layer, laid over the old ones, to give
// what was on disk: by the engine and by the model, which do not share code. IS-T7.
func TestRoundTrip(t *testing.T) {
	needRoot(t)
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			roundTrip(t, rand.New(rand.NewPCG(uint64(seed), 7)))
		})
	}
}

func roundTrip(t *testing.T, rnd *rand.Rand) {
	ctx := context.Background()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	blobs := tartest.Blobs{}
	var layers []image.Layer
	before := tree.New()
	m := &mutator{tb: t, rnd: rnd, root: root}
	logs := logStore{}
	for generation := range 4 {
		for range 3 + rnd.IntN(40) {
			m.step()
		}
		if generation > 0 {
			logs.checkChanges(t, layers, before, root)
		}
		c := []image.Compression{image.Gzip, image.Zstd, image.Uncompressed}[rnd.IntN(3)]
		layer, blob := pack(t, before, root, repack.Options{Compression: c})
		checkOrder(t, blob, layer, c)
		blobs[layer.Descriptor.Digest] = blob
		layers = append(layers, layer.Layer)
		after := read(t, root)
		modelled, err := tree.OfLayers(ctx, layers, blobs, tree.Options{Content: true})
		if err != nil {
			t.Fatalf("generation %d: %v", generation, err)
		}
		if d := diff(modelled, after); len(d) > 0 {
			t.Fatalf("generation %d: the model differs from the disk:\n%s\nlog:\n%s", generation, lines(d), m.log.String())
		}
		target := filepath.Join(dir, fmt.Sprint("unpacked", generation))
		if _, err := unpack.Unpack(ctx, layers, blobs, target, unpack.Options{Logs: logs.create}); err != nil {
			t.Fatalf("generation %d: %v", generation, err)
		}
		if d := diff(read(t, target), after); len(d) > 0 {
			t.Fatalf("generation %d: what was unpacked differs:\n%s\nlog:\n%s", generation, lines(d), m.log.String())
		}
		before = modelled
	}
}

// logStore keeps tar-split logs by DiffID.
type logStore map[digest.Digest]*bytes.Buffer

func (s logStore) create(_ int, l image.Layer) (io.WriteCloser, error) {
	s[l.DiffID] = &bytes.Buffer{}
	return unpack.NewLogWriter(s[l.DiffID])
}

func (s logStore) open(l image.Layer) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s[l.DiffID].Bytes())), nil
}

// checkChanges wants the changes that the logs tell to be those that the content tells.
func (s logStore) checkChanges(t *testing.T, layers []image.Layer, byBlob *tree.Tree, root string) {
	t.Helper()
	ctx := context.Background()
	sums, err := repack.ReadSums(ctx, layers, s.open, unpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := tree.OfLayers(ctx, layers, nil, tree.Options{Logs: s.open})
	if err != nil {
		t.Fatal(err)
	}
	after, err := tree.OfDir(ctx, open(t, root), tree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changes, known, err := sums.Diff(ctx, open(t, root), before, after)
	if err != nil || !known {
		t.Fatalf("content: %v, known %v", err, known)
	}
	got, want := map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		if got[c.Path] {
			t.Errorf("%q is told twice", c.Path)
		}
		got[c.Path] = true
	}
	for _, c := range diff(byBlob, read(t, root)) {
		want[c.Path] = true
	}
	if !maps.Equal(got, want) {
		t.Fatalf("changes by log %v, by content %v", got, want)
	}
}

// checkOrder proves what the layer's tar must be beside right: no name twice (IS-T1), whiteouts explicit and before their
// siblings (IS-T6), a directory before what is in it, links to names of the same layer (IS-T3).
func checkOrder(tb testing.TB, blob []byte, layer repack.Layer, c image.Compression) {
	tb.Helper()
	seen := map[string]bool{"": true}
	ordinary := map[string]bool{} // directories of which something that is no whiteout was seen
	tr := tar.NewReader(inflated(tb, blob, c))
	n := 0
	for ; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		name := strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		parent, base := "", name
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			parent, base = name[:i], name[i+1:]
		}
		white := strings.HasPrefix(base, ".wh.")
		switch {
		case seen[name] && name != "":
			tb.Errorf("%q twice", name)
		case !seen[parent]:
			tb.Errorf("%q before its directory", name)
		case base == ".wh..wh..opq":
			tb.Errorf("%q is an opaque whiteout", name)
		case white && ordinary[parent]:
			tb.Errorf("%q after a sibling", name)
		case h.Typeflag == tar.TypeLink && !seen[h.Linkname]:
			tb.Errorf("%q links to %q, which the layer does not have before", name, h.Linkname)
		case h.Uname != "" || h.Gname != "":
			tb.Errorf("%q has the owner %q:%q", name, h.Uname, h.Gname)
		}
		seen[name] = true
		ordinary[parent] = ordinary[parent] || !white && name != ""
	}
	if n != layer.Entries {
		tb.Errorf("%d entries, told were %d", n, layer.Entries)
	}
}

// mutator changes a tree on disk at random.
type mutator struct {
	tb   testing.TB
	rnd  *rand.Rand
	root string
	log  bytes.Buffer
}

func (m *mutator) names() []string {
	return []string{
		"a", "b", "c", "d\xff\x80", "e f", "é", "x\ny", "=", ".wh", "a\\b", "a-b", "a.b", strings.Repeat("l", 101), strings.Repeat("m", 255),
	}
}

// pick gives an existing path, or a new name in an existing directory.
func (m *mutator) pick(fresh bool) string {
	path := m.root
	for {
		entries, err := os.ReadDir(path)
		if err != nil {
			m.tb.Fatal(err)
		}
		if fresh && (len(entries) == 0 || m.rnd.IntN(3) == 0) {
			names := m.names()
			return filepath.Join(path, names[m.rnd.IntN(len(names))])
		}
		if len(entries) == 0 {
			return path
		}
		e := entries[m.rnd.IntN(len(entries))]
		next := filepath.Join(path, e.Name())
		if !e.IsDir() {
			if fresh {
				return filepath.Join(path, m.names()[m.rnd.IntN(len(m.names()))])
			}
			return next
		}
		if !fresh && m.rnd.IntN(3) == 0 {
			return next
		}
		path = next
	}
}

// step makes one change. What the kernel refuses (a path too long, an xattr on a device) is no change.
func (m *mutator) step() {
	kind := m.rnd.IntN(18)
	var err error
	path := m.pick(kind < 9)
	fmt.Fprintf(&m.log, "%d %q\n", kind, strings.TrimPrefix(path, m.root))
	if kind < 9 && (kind != 8 || m.rnd.IntN(2) == 0) {
		err = os.RemoveAll(path)
	}
	if err != nil {
		m.tb.Fatal(err)
	}
	switch kind {
	case 0, 1:
		err = os.WriteFile(path, m.body(), 0o644)
	case 2, 3:
		err = os.Mkdir(path, 0o755)
	case 4:
		err = os.Symlink([]string{"a", "/etc", "../x", "d\xff", strings.Repeat("t", 150)}[m.rnd.IntN(5)], path)
	case 5:
		err = unix.Mknod(path, []uint32{unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO}[m.rnd.IntN(3)]|0o600, int(unix.Mkdev(uint32(1+m.rnd.IntN(300)), uint32(m.rnd.IntN(70000)))))
	case 6, 7, 8:
		err = os.Link(m.pick(false), path)
	case 9:
		if path != m.root {
			err = os.RemoveAll(path)
		}
	case 10:
		err = m.onFile(path, func() error { return m.rewrite(path) })
	case 11:
		err = unix.Lchown(path, m.rnd.IntN(3)*1000, m.rnd.IntN(3_000_000))
	case 12:
		err = m.onFile(path, func() error { return unix.Chmod(path, uint32(m.rnd.IntN(0o10000))) })
	case 13:
		m.touch(path)
	case 14:
		err = m.attribute(path)
	case 15:
		err = os.Rename(path, m.pick(true))
	default:
		err = m.split(path)
	}
	if err != nil && kind < 5 && !errors.Is(err, unix.ENAMETOOLONG) {
		m.tb.Fatal(err)
	}
}

// onFile acts unless the path is a symbolic link, or a device for content.
func (m *mutator) onFile(path string, act func() error) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return err
	}
	return act()
}

// rewrite changes the content of a file, at times so that nothing else tells it.
func (m *mutator) rewrite(path string) error {
	if m.rnd.IntN(2) == 0 {
		return os.WriteFile(path, m.body(), 0o644)
	}
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err != nil || st.Size == 0 {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{byte(m.rnd.IntN(256))}, m.rnd.Int64N(st.Size))
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Mtim, st.Mtim}, 0))
}

// split makes a file that has several names one of its own under this name, the same in all else.
func (m *mutator) split(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Nlink == 1 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return err
	}
	body, err := os.ReadFile(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		err = os.WriteFile(path, body, 0o600)
	}
	if err == nil {
		err = errors.Join(unix.Lchown(path, int(st.Uid), int(st.Gid)), unix.Chmod(path, st.Mode&0o7777),
			unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Mtim, st.Mtim}, 0))
	}
	return err
}

func (m *mutator) body() []byte {
	b := make([]byte, []int{0, 1, 511, 512, 4096, 70000}[m.rnd.IntN(6)])
	for i := range b {
		b[i] = byte(m.rnd.IntN(4))
	}
	return b
}

func (m *mutator) touch(path string) {
	ts := []unix.Timespec{{Sec: 0}, {Sec: -5, Nsec: 250}, {Sec: 1_600_000_000}, {Sec: 1_600_000_000, Nsec: 123456789}, {Sec: 9_000_000_000, Nsec: 1}}[m.rnd.IntN(5)]
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		m.tb.Fatal(err)
	}
}

// capability is CAP_NET_RAW, permitted and effective, in the second form of the xattr.
var capability = []byte{1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

func (m *mutator) attribute(path string) error {
	switch m.rnd.IntN(5) {
	case 0:
		return unix.Lsetxattr(path, "user.x", []byte("a\x00\n=b"), 0)
	case 1:
		return unix.Lsetxattr(path, "user.a=b", []byte("c"), 0)
	case 2:
		return unix.Lsetxattr(path, "security.capability", capability, 0)
	case 3:
		return unix.Lsetxattr(path, "trusted.empty", nil, 0)
	}
	return unix.Lremovexattr(path, "user.x")
}

// TestRepack_deterministic: the same tree gives the same bytes, whatever the number of CPUs and the order in
// which the directory has its names.
func TestRepack_deterministic(t *testing.T) {
	needRoot(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	root := t.TempDir()
	m := &mutator{tb: t, rnd: rnd, root: root}
	for range 60 {
		m.step()
	}
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(rnd.IntN(3))
	}
	if err := os.WriteFile(filepath.Join(root, "big"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	epoch := time.Unix(1_700_000_000, 0)
	for _, c := range []image.Compression{image.Gzip, image.Zstd, image.Uncompressed} {
		var want []byte
		for _, procs := range []int{1, 2, 7} {
			got := withProcs(procs, func() []byte {
				_, blob := pack(t, tree.New(), root, repack.Options{Compression: c, Epoch: &epoch})
				return blob
			})
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: other bytes on %d CPUs", c, procs)
			}
		}
	}
}
