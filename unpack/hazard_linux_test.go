package unpack_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

type entries = []tartest.Entry

// hazard is a stack of layers, and what must become of it.
type hazard struct {
	name   string
	layers []entries
	want   map[string]string // path: "dir", "file BODY", "link TARGET", "fifo", "char 1:3", "-" (absent)
	err    error
	o      unpack.Options
}

// modes are the ways in which a Root resolves names.
func modes(t *testing.T, f func(t *testing.T, openat2 bool)) {
	t.Run("openat2", func(t *testing.T) { f(t, true) })
	t.Run("walk", func(t *testing.T) { f(t, false) })
}

// run unpacks a stack and proves that nothing else changed.
func (h *hazard) run(t *testing.T, openat2 bool) {
	c := tartest.NewCanary(t)
	blobs := tartest.Blobs{}
	var layers []image.Layer
	for _, l := range h.layers {
		layers = append(layers, blobs.GzipTar(tartest.Archive(l...)))
	}
	err := unpackMode(t.Context(), layers, blobs, c.Target, h.o, openat2)
	c.Check(t)
	if !errors.Is(err, h.err) || h.err == nil && err != nil {
		t.Errorf("error %v, want %v", err, h.err)
	}
	var typed *unpack.Error
	if err != nil && !errors.As(err, &typed) {
		t.Errorf("error %T is not typed: %v", err, err)
	}
	if err == nil {
		h.compare(t, c.Target)
	} else if _, serr := os.Lstat(c.Target); serr == nil {
		t.Error("the target is still there after a failure")
	}
}

// unpackMode is unpack.Unpack, or the same on a Root that does without openat2.
func unpackMode(ctx context.Context, layers []image.Layer, blobs unpack.Blobs, dir string, o unpack.Options, openat2 bool) error {
	if openat2 {
		_, err := unpack.Unpack(ctx, layers, blobs, dir, o)
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := unpack.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	root.WithoutOpenat2()
	if err := root.Initialise(o); err != nil {
		return err
	}
	for i, l := range layers {
		o.Index = i + 1
		if _, err := unpack.ApplyLayer(ctx, l, blobs, root, unpack.Merged, o); err != nil {
			return errors.Join(err, root.RemoveContents(), os.Remove(dir))
		}
	}
	return nil
}

func (h *hazard) compare(t *testing.T, dir string) {
	t.Helper()
	nodes := tree(t, dir)
	for path, want := range h.want {
		if got := show(dir, path, nodes); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

func show(dir, path string, nodes map[string]tartest.Node) string {
	n, ok := nodes[path]
	switch {
	case !ok:
		return "-"
	case n.Type == "file":
		body, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err.Error()
		}
		return "file " + string(body)
	case n.Type == "link":
		return "link " + n.Target
	case n.Type == "char", n.Type == "block":
		return fmt.Sprintf("%s %d:%d", n.Type, unix.Major(n.Rdev), unix.Minor(n.Rdev))
	}
	return n.Type
}

func runHazards(t *testing.T, hazards []hazard) {
	t.Helper()
	needRoot(t)
	for _, h := range hazards {
		t.Run(strings.ReplaceAll(h.name, " ", "_"), func(t *testing.T) { modes(t, h.run) })
	}
}

var (
	dir   = tartest.Dir
	file  = tartest.File
	sym   = tartest.Symlink
	link  = tartest.Link
	gone  = tartest.Whiteout
	clear = tartest.Opaque
)

func TestHazardPaths(t *testing.T) {
	long := strings.Repeat("n", 250)
	deep := strings.Repeat(long+"/", 20) // 5,020 bytes: longer than PATH_MAX
	runHazards(t, []hazard{
		{name: "H-01 dotdot", layers: []entries{{file("../secret", "x")}}, err: unpack.ErrUnsafePath},
		{name: "H-01 inner dotdot", layers: []entries{{file("./a/../../b", "x")}}, err: unpack.ErrUnsafePath},
		{name: "H-01 empty name", layers: []entries{{file("", "x")}}, err: unpack.ErrUnsafePath},
		{name: "H-01 absolute", layers: []entries{{file("/etc/x", "x")}}, want: map[string]string{"etc/x": "file x"}},
		{name: "H-01 odd", layers: []entries{{file(".//a/././b", "x")}}, want: map[string]string{"a/b": "file x"}},
		{
			name: "H-02 link to the outside", layers: []entries{{sym("l", "../../out"), file("l/secret", "x"), file("l/new", "x")}},
			want: map[string]string{"l": "link ../../out", "out/secret": "file x"},
		},
		{name: "H-02 link to slash", layers: []entries{{sym("l", "/"), file("l/f", "x")}}, want: map[string]string{"f": "file x"}},
		{name: "H-02 lower link", layers: []entries{{sym("l", "/out")}, {file("l/f", "x")}}, want: map[string]string{"l": "dir", "l/f": "file x"}},
		{
			name: "H-03 cached parent", layers: []entries{{dir("foo"), file("foo/tmp/f", "1"), sym("foo", "/"), file("foo/tmp/g", "2"), dir("foo"), file("foo/h", "3")}},
			want: map[string]string{"foo": "dir", "foo/h": "file 3", "tmp/g": "file 2", "foo/tmp": "-"},
		},
		{
			name: "H-03 cached parent outside", layers: []entries{{file("foo/secret", "1"), sym("foo", "../../out"), file("foo/secret", "2")}},
			want: map[string]string{"out/secret": "file 2"},
		},
		{name: "H-04 link at slash", layers: []entries{{sym("/", "/out")}}, err: unpack.ErrUnsafePath},
		{name: "H-04 link at dot", layers: []entries{{sym("./.", "/out")}}, err: unpack.ErrUnsafePath},
		{name: "H-04 file at root", layers: []entries{{file(".", "x")}}, err: unpack.ErrUnsafePath},
		{
			name: "H-05 mode through a link", layers: []entries{{sym("l", "../../out/secret"), link("h", "l"), {Name: "h", Type: '1', Link: "l", Mode: 0o777}}},
			want: map[string]string{"h": "link ../../out/secret"},
		},
		{name: "H-06 hardlink dotdot", layers: []entries{{link("h", "../secret")}}, err: unpack.ErrUnsafePath},
		{name: "H-06 hardlink absolute", layers: []entries{{link("h", "/out/secret")}}, err: unpack.ErrLink},
		{name: "H-06 hardlink through a link", layers: []entries{{sym("l", "../../out"), link("h", "l/secret")}}, err: unpack.ErrLink},
		{name: "H-07 to a directory", layers: []entries{{dir("d"), link("h", "d")}}, err: unpack.ErrLink},
		{name: "H-07 to a whiteout", layers: []entries{{link("h", ".wh.x")}}, err: unpack.ErrLink},
		{name: "H-07 to itself", layers: []entries{{file("h", "x"), link("h", "h")}}, err: unpack.ErrLink},
		{name: "H-07 to a later entry", layers: []entries{{link("h", "f"), file("f", "x")}}, err: unpack.ErrLink},
		{name: "H-07 to a lower layer", layers: []entries{{file("d/f", "x")}, {link("h", "d/f")}, {gone("d/f")}}, want: map[string]string{"h": "file x", "d/f": "-"}},
		{name: "H-07 over its own directory", layers: []entries{{file("d/f", "x"), link("d", "d/f")}}, err: unpack.ErrLink},
		{name: "H-08 below a file", layers: []entries{{file("a", "x"), file("a/b", "y")}}, want: map[string]string{"a": "dir", "a/b": "file y"}},
		{name: "H-08 below a lower file", layers: []entries{{file("a", "x")}, {file("a/b", "y")}}, want: map[string]string{"a/b": "file y"}},
		{
			name: "H-09 replaced", layers: []entries{{dir("d"), file("d/x", "1"), file("f", "2"), sym("l", "d")}, {file("d", "3"), dir("f"), dir("l")}},
			want: map[string]string{"d": "file 3", "f": "dir", "l": "dir"},
		},
		{
			name: "H-13 verbatim", layers: []entries{{sym("a", "/../../../etc"), sym("b", "../../../etc/passwd")}},
			want: map[string]string{"a": "link /../../../etc", "b": "link ../../../etc/passwd"},
		},
		{name: "H-46 long name", layers: []entries{{file(strings.Repeat("n", 256), "x")}}, err: unix.ENAMETOOLONG},
		{name: "H-46 path longer than PATH_MAX", layers: []entries{{file(deep+"f", "x")}}, want: map[string]string{long: "dir"}},
		{name: "H-46 too deep", layers: []entries{{file(strings.Repeat("d/", 300)+"f", "x")}}, err: unpack.ErrLimit},
		{
			name: "H-46 odd bytes", layers: []entries{{file("\xff\x1b[31m\n:x..", "x"), {Name: "trail/", Body: "x"}}},
			want: map[string]string{"\xff\x1b[31m\n:x..": "file x", "trail": "file x"},
		},
		{name: "link loop", layers: []entries{{sym("a", "b"), sym("b", "a"), file("a/x", "x")}}, err: unpack.ErrUnsafePath},
	})
}

func TestHazardWhiteouts(t *testing.T) {
	lower := entries{file("a", "1"), file("d/x", "2"), file("d/s/y", "3")}
	runHazards(t, []hazard{
		{name: "H-20 same layer", layers: []entries{lower, {file("a", "new"), gone("a")}}, want: map[string]string{"a": "file new"}},
		{name: "H-20 same layer directory", layers: []entries{lower, {file("d/n", "n"), gone("d")}}, want: map[string]string{"d/n": "file n", "d/x": "-", "d/s": "-"}},
		{
			name: "H-21 opaque late", layers: []entries{lower, {file("d/s/n", "n"), file("d/x", "new"), clear("d")}},
			want: map[string]string{"d/s/n": "file n", "d/s/y": "-", "d/x": "file new"},
		},
		{name: "H-21 opaque root", layers: []entries{lower, {file("d/n", "n"), clear("")}}, want: map[string]string{"a": "-", "d/x": "-", "d/n": "file n"}},
		{name: "H-22 bare", layers: []entries{{file(".wh.", "")}}, err: unpack.ErrWhiteout},
		{name: "H-22 dot", layers: []entries{lower, {file("d/.wh..", "")}}, err: unpack.ErrWhiteout},
		{name: "H-22 dotdot", layers: []entries{lower, {file("d/.wh...", "")}}, err: unpack.ErrWhiteout},
		{name: "H-22 directory", layers: []entries{lower, {dir(".wh.a")}}, err: unpack.ErrWhiteout},
		{name: "H-22 link", layers: []entries{lower, {sym(".wh.a", "a")}}, err: unpack.ErrWhiteout},
		{name: "H-22 below", layers: []entries{lower, {file(".wh.a/b", "x")}}, err: unpack.ErrWhiteout},
		{name: "H-22 with content", layers: []entries{lower, {file(".wh.a", "content")}}, want: map[string]string{"a": "-", ".wh.a": "-"}},
		{
			name: "H-23 AUFS", layers: []entries{{
				file(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "linked"), dir(".wh..wh.orph"),
				link("h1", ".wh..wh.plnk/1.2"), link("d/h2", ".wh..wh.plnk/1.2"),
			}},
			want: map[string]string{"h1": "file linked", "d/h2": "file linked", ".wh..wh.plnk": "-", ".wh..wh.aufs": "-", ".wh..wh.orph": "-"},
		},
		{name: "H-24 missing", layers: []entries{lower, {gone("d/none"), gone("none")}}, want: map[string]string{"d/x": "file 2"}},
		{name: "H-24 link", layers: []entries{{sym("l", "../../out")}, {gone("l/secret")}}, want: map[string]string{"l": "dir"}},
		{name: "H-26 device 0:0", layers: []entries{{{Name: "w", Type: '3'}}}, err: unpack.ErrDevice},
		{
			name: "H-26 device skipped", layers: []entries{{{Name: "w", Type: '3'}, file("f", "x")}}, o: unpack.Options{Devices: unpack.DeviceSkip},
			want: map[string]string{"w": "-", "f": "file x"},
		},
	})
}

func TestHazardFormat(t *testing.T) {
	pax := func(e tartest.Entry, kv ...string) tartest.Entry {
		e.PAX = map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			e.PAX[kv[i]] = kv[i+1]
		}
		return e
	}
	runHazards(t, []hazard{
		{name: "H-34 negative uid", layers: []entries{{{Name: "f", UID: -1}}}, err: unpack.ErrTar},
		{name: "H-34 uid that means none", layers: []entries{{{Name: "f", UID: 1<<32 - 1}}}, err: unpack.ErrTar},
		{name: "H-34 uid over 32 bits", layers: []entries{{pax(file("f", ""), "uid", "4294967296")}}, err: unpack.ErrTar},
		{name: "H-34 uid that is a name", layers: []entries{{pax(file("f", ""), "uid", "root")}}, err: unpack.ErrTar},
		{
			name: "H-36 types", layers: []entries{{{Name: "c7", Type: '7', Body: "x"}, {Name: "V", Type: 'V'}, {Name: "M", Type: 'M', Body: "y"}, {Name: "p", Type: '6'}, file("f", "z")}},
			want: map[string]string{"c7": "file x", "V": "-", "M": "-", "p": "fifo", "f": "file z"},
		},
		{
			name: "H-30 devices", layers: []entries{{{Name: "n", Type: '3', Major: 1, Minor: 3}, {Name: "b", Type: '4', Major: 259, Minor: 70000}}},
			want: map[string]string{"n": "char 1:3", "b": "block 259:70000"},
		},
		{name: "H-30 device number", layers: []entries{{{Name: "n", Type: '3', Major: 5000, Minor: 3}}}, err: unpack.ErrTar},
		{
			name: "H-40 global header", layers: []entries{{tartest.Global(map[string]string{"comment": "c", "path": "evil"}), file("f", "x")}},
			want: map[string]string{"pax_global_header": "-", "evil": "-", "f": "file x"},
		},
		{
			name: "H-41 overrides", layers: []entries{{pax(file("short", "x"), "path", "long/name"), pax(sym("l", "t"), "linkpath", "other")}},
			want: map[string]string{"long/name": "file x", "short": "-", "l": "link other"},
		},
		{name: "H-41 bad record", layers: []entries{{{Raw: append(tartest.Header(tartest.Entry{Name: "x", Type: 'x'}, 6), append([]byte("9 a=b\n"), make([]byte, 506)...)...)}, file("f", "")}}, err: unpack.ErrTar},
		{
			name: "H-41 a record twice", layers: []entries{{{Raw: append(paxRaw(tartest.Record("path", "first")+tartest.Record("path", "second")), tartest.Entries(file("short", "x"))...)}}},
			want: map[string]string{"second": "file x", "first": "-", "short": "-"},
		},
		{name: "H-41 NUL in a path", layers: []entries{{pax(file("f", ""), "path", "a\x00b")}}, err: unpack.ErrTar},
		{
			name: "GNU long names", layers: []entries{{tartest.GNULong('L', strings.Repeat("l", 200)), {Name: "x", Magic: "ustar  \x00", Body: "long"}}},
			want: map[string]string{strings.Repeat("l", 200): "file long"},
		},
		{
			name: "H-44 duplicates", layers: []entries{{file("a", "1"), file("a", "2"), dir("b"), file("b", "3"), file("c", "4"), dir("c"), sym("d", "x"), file("d", "5")}},
			want: map[string]string{"a": "file 2", "b": "file 3", "c": "dir", "d": "file 5"},
		},
		{name: "empty target", layers: []entries{{sym("l", "")}}, err: unpack.ErrTar},
		{name: "size over the limit", layers: []entries{{{Name: "f", Size: 1 << 40}}}, err: unpack.ErrLimit},
		{name: "entries over the limit", layers: []entries{{file("a", ""), file("b", ""), file("c", "")}}, o: unpack.Options{Limits: unpack.Limits{Entries: 2}}, err: unpack.ErrLimit},
		{name: "bytes over the limit", layers: []entries{{file("a", strings.Repeat("x", 5000))}}, o: unpack.Options{Limits: unpack.Limits{LayerBytes: 4096}}, err: unpack.ErrLimit},
	})
}

// TestIS_T2_H27_H31_H32_H37_H45_attributes covers modes, owners, times and xattrs.
func TestIS_T2_H27_H31_H32_H37_H45_attributes(t *testing.T) {
	needRoot(t)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // v2, cap_net_raw
	list := entries{
		{Name: "./", Type: '5', Mode: 0o1770, Mtime: 77, UID: 3, GID: 4},
		{Name: "suid", Mode: 0o4755, UID: 1000, GID: 1000, PAX: map[string]string{
			"mtime": "1.123456789", "SCHILY.xattr.user.bin": "\x01=\xff\n", "LIBARCHIVE.xattr.user.lib%25": base64.RawStdEncoding.EncodeToString([]byte("\xfelib")),
			"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.security.selinux": "label", "SCHILY.xattr.trusted.overlay.opaque": "y",
		}},
		{Name: "neg", PAX: map[string]string{"mtime": "-1.5"}},
		{Name: "far", PAX: map[string]string{"mtime": "10000000000"}},
		{Name: "wide", Mode: 0o666},
		{Name: "none", Mode: -1},
		{Name: "d/", Type: '5', Mode: 0o555, Mtime: 99},
		{Name: "d/f", Body: "x"},
		{Name: "g/", Type: '5', Mode: 0o2775, GID: 50},
		{Name: "g/f"},
		{Name: "g/s/", Type: '5'},
		{Name: "g/s/f"},
		{Name: "l", Type: '2', Link: "suid", UID: 7, GID: 8, Mtime: 5},
		{Name: "p", Type: '6', Mode: 0o622, UID: 9},
		{Name: "big", UID: 1<<32 - 2, GID: 3000000000},
	}
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	blobs := tartest.Blobs{}
	target := filepath.Join(t.TempDir(), "r")
	// The last layer passes through g, which is setgid then, and changes nothing about it.
	layers := []image.Layer{blobs.Layer(list...), blobs.Layer(tartest.Entry{Name: "g/late"}, tartest.Entry{Name: "g/dir/", Type: '5'})}
	var warned bytes.Buffer
	o := unpack.Options{Logger: slog.New(slog.NewTextHandler(&warned, nil))}
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, o); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	want := map[string]string{
		".": "1770 3:4 77.000000000", "suid": "4755 1000:1000 1.123456789", "neg": "0644 0:0 -2.500000000", "far": "0644 0:0 10000000000.000000000",
		"wide": "0666 0:0 0.000000000", "none": "0000 0:0 0.000000000", "d": "0555 0:0 99.000000000", "g": "2775 0:50 0.000000000",
		"g/f": "0644 0:0 0.000000000", "g/s": "0755 0:0 0.000000000", "g/s/f": "0644 0:0 0.000000000", "g/late": "0644 0:0 0.000000000", "g/dir": "0755 0:0 0.000000000",
		"l": "0777 7:8 5.000000000", "p": "0622 9:0 0.000000000", "big": "0644 4294967294:3000000000 0.000000000",
	}
	for path, w := range want {
		n := nodes[path]
		if got := fmt.Sprintf("%04o %d:%d %s", n.Mode, n.UID, n.GID, n.Mtime); got != w {
			t.Errorf("%s is %s, want %s", path, got, w)
		}
	}
	x := nodes["suid"].Xattrs
	if x["user.bin"] != "\x01=\xff\n" || x["user.lib%"] != "\xfelib" || x["security.capability"] != capability || len(x) != 3 {
		t.Errorf("xattrs %q", x)
	}
	if !strings.Contains(warned.String(), "security.selinux") || !strings.Contains(warned.String(), "trusted.overlay.opaque") {
		t.Errorf("no warning about xattrs left out: %s", warned.String())
	}
}

// TestIS_T4_attributes: a directory entry over a directory replaces the attributes, xattrs too.
func TestIS_T4_attributes(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{
		blobs.Layer(tartest.Entry{Name: "d/", Type: '5', UID: 5, Mode: 0o700, PAX: map[string]string{"SCHILY.xattr.user.old": "1", "SCHILY.xattr.trusted.old": "1"}}, file("d/kept", "k")),
		blobs.Layer(tartest.Entry{Name: "d/", Type: '5', UID: 6, Mode: 0o3711, Mtime: 42, PAX: map[string]string{"SCHILY.xattr.user.new": "2"}}),
	}
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	if got := nodes["d"].String(); got != `dir 3711 6:0 size=0 rdev=0 mtime=42.000000000 sum= target="" link="" xattrs=user.new=32` {
		t.Error(got)
	}
	if nodes["d/kept"].Type != "file" {
		t.Error("the content of the directory is gone")
	}
}
