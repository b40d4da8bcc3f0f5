package verify_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/verify"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: owners, devices and capabilities")
	}
}

// unpacked is an image, its root file system, and its record.
type unpacked struct {
	img     image.Image
	blobs   unpack.Blobs
	dir     string
	records verify.Records
}

// unpackImage unpacks an image with a record.
func unpackImage(tb testing.TB, img image.Image, blobs unpack.Blobs, o unpack.Options) unpacked {
	tb.Helper()
	base := tb.TempDir()
	u := unpacked{img, blobs, filepath.Join(base, "rootfs"), verify.OpenRecords(filepath.Join(base, "records"))}
	d, err := u.records.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	o.Logs, o.LeftOut = d.Logs, d.LeftOut
	if _, err := unpack.Unpack(tb.Context(), img.Layers(), blobs, u.dir, o); err != nil {
		tb.Fatal(err)
	}
	how := verify.How{UIDMap: o.UIDMap, GIDMap: o.GIDMap, SingleID: o.SingleID}
	if err := d.Commit(u.dir, img, "test", how); err != nil {
		tb.Fatal(err)
	}
	return u
}

// check verifies with the record or, without logs, by the blobs alone.
func (u unpacked) check(tb testing.TB, level verify.Level, logs bool, edit func(*verify.Options)) verify.Report {
	tb.Helper()
	f, err := os.Open(u.dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := u.records.Find(f)
	if err != nil {
		tb.Fatal(err)
	}
	o := verify.Options{Level: level, Blobs: u.blobs, How: r.How}
	if logs {
		o.Logs = r.Log
	}
	if edit != nil {
		edit(&o)
	}
	rep, err := verify.Rootfs(tb.Context(), r.Image(), f, o)
	if err != nil {
		tb.Fatal(err)
	}
	return rep
}

// tell gives the findings of a report, a line each.
func tell(r verify.Report) []string {
	var list []string
	for _, c := range r.Changes {
		what := make([]string, len(c.What))
		for i, w := range c.What {
			what[i], _, _ = strings.Cut(w, " ")
			if what[i] == "xattr" {
				what[i] = w
			}
		}
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s /%s %s", c.Kind, c.Path, strings.Join(what, ",")), " "))
	}
	for _, u := range r.Unread {
		list = append(list, "unread /"+u.Path)
	}
	return list
}

// sample is an image with one of everything, in three layers.
func sample() (tartest.Blobs, []image.Layer) {
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	file := func(name, body string, edit func(*tartest.Entry)) tartest.Entry {
		e := tartest.File(name, body)
		e.Mode, e.Mtime = 0o644, 1_600_000_000
		e.PAX = map[string]string{"mtime": "1600000000.123456789"}
		if edit != nil {
			edit(&e)
		}
		return e
	}
	dir := func(name string) tartest.Entry {
		e := tartest.Dir(name)
		e.Mode, e.Mtime = 0o755, 1_500_000_000
		return e
	}
	blobs := tartest.Blobs{}
	one := tartest.Archive(
		dir("bin"), dir("etc"), dir("dev"), dir("empty"),
		file("bin/tool", strings.Repeat("tool", 5000), func(e *tartest.Entry) {
			e.Mode = 0o755
			e.PAX["SCHILY.xattr.security.capability"] = capability
		}),
		file("etc/passwd", "root:x:0:0\n", func(e *tartest.Entry) { e.PAX["SCHILY.xattr.user.note"] = "kept" }),
		file("etc/owned", "by another", func(e *tartest.Entry) { e.UID, e.GID = 1000, 100 }),
		file("etc/replaced", "first", nil), file("etc/removed", "gone", nil), file("etc/nothing", "", nil),
		tartest.Symlink("etc/link", "passwd"), tartest.Link("etc/second", "etc/passwd"),
		tartest.Entry{Name: "dev/null", Type: '3', Mode: 0o666, Major: 1, Minor: 3},
		tartest.Entry{Name: "dev/pipe", Type: '6', Mode: 0o600},
	)
	two := tartest.Archive(dir("etc"), file("etc/replaced", "second", nil), tartest.Whiteout("etc/removed"))
	three := tartest.Archive(dir("srv"), file("srv/data", strings.Repeat("0123456789abcdef", 9000), nil))
	return blobs, []image.Layer{blobs.GzipTar(one), blobs.GzipTar(two), blobs.ZstdTar(three)}
}

// TestIS_C5_untouched: every layer is proved, and at the level exact rebuilt.
func TestIS_C5_untouched(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
	for _, logs := range []bool{true, false} {
		r := u.check(t, verify.Exact, logs, nil)
		if !r.OK() || r.Paths != 16 || r.Files != 5 {
			t.Errorf("logs %v: %q, %d paths, %d files", logs, tell(r), r.Paths, r.Files)
		}
		for _, l := range r.Layers {
			if l.State != verify.Proved || !l.Rebuilt || l.Hidden != map[int]int{1: 2}[l.Index] {
				t.Errorf("logs %v: %+v", logs, l)
			}
		}
	}
}

// TestIS_C5_blobs_gone: with logs alone a layer of which nothing is hidden is proved; of the other it is said what is missing.
func TestIS_C5_blobs_gone(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
	u.blobs = nil
	if r := u.check(t, verify.Metadata, true, nil); !r.OK() {
		t.Errorf("metadata: %q", tell(r))
	}
	r := u.check(t, verify.Exact, true, nil)
	states := []verify.LayerState{r.Layers[0].State, r.Layers[1].State, r.Layers[2].State}
	if r.OK() || !slices.Equal(states, []verify.LayerState{verify.Unproved, verify.Proved, verify.Proved}) || len(r.Changes) > 0 {
		t.Errorf("%q, %+v", tell(r), r.Layers)
	}
	if err := flipByte("srv/data", 7)(u.dir); err != nil {
		t.Fatal(err)
	}
	if err := flipByte("etc/owned", 1)(u.dir); err != nil {
		t.Fatal(err)
	}
	want := []string{"changed /etc/owned content", "changed /srv/data content"}
	if r := u.check(t, verify.Content, true, nil); !slices.Equal(tell(r), want) {
		t.Errorf("%q, want %q", tell(r), want)
	}
}

// TestH10_changing has a root file system that someone changes while it is read.
func TestH10_changing(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, b := filepath.Join(u.dir, "srv"), filepath.Join(u.dir, "other")
		for ctx.Err() == nil {
			_ = os.Rename(a, b)
			_ = os.Symlink(filepath.Dir(secret), a)
			_ = os.Remove(a)
			_ = os.Rename(b, a)
		}
	}()
	for range 200 {
		f, err := os.Open(u.dir)
		if err != nil {
			t.Fatal(err)
		}
		r, err := verify.Rootfs(ctx, u.img, f, verify.Options{Blobs: u.blobs, Level: verify.Exact})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Changes {
			if _, base := filepath.Split(c.Path); base == "secret" {
				t.Fatalf("the reading left the root: %q", tell(r))
			}
		}
	}
	stop()
	<-done
}

// TestH14_hostile has a root file system with all that a container could leave to harm who reads it.
func TestH14_hostile(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
	fifo := filepath.Join(u.dir, "etc/replaced")
	for _, err := range []error{
		os.Remove(fifo), unix.Mkfifo(fifo, 0o644),
		os.Truncate(filepath.Join(u.dir, "etc/owned"), 1<<40),
		os.Remove(filepath.Join(u.dir, "etc/nothing")), unix.Mknod(filepath.Join(u.dir, "etc/nothing"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0))),
		os.RemoveAll(filepath.Join(u.dir, "srv")), os.Symlink("/", filepath.Join(u.dir, "srv")),
		deep(filepath.Join(u.dir, "empty"), 3000),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		r, err := unpack.OpenRoot(u.dir)
		if err == nil {
			err = r.RemoveContents()
		}
		if err != nil {
			t.Error(err)
		}
	})
	r := u.check(t, verify.Exact, true, nil)
	for _, want := range []string{"changed /etc/replaced type", "changed /etc/owned size,mtime", "changed /etc/nothing type", "changed /srv type", "removed /srv/data"} {
		if !slices.Contains(tell(r), want) {
			t.Errorf("no %q", want)
		}
	}
	if len(r.Unread) != 1 || !strings.HasPrefix(r.Unread[0].Path, "empty/d/d/") || len(r.Changes) > 300 {
		t.Errorf("%d unread, %d changes", len(r.Unread), len(r.Changes))
	}
}

// deep makes directories in each other, more than a path can name.
func deep(dir string, n int) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	for range n {
		if err != nil {
			return err
		}
		var next int
		if err = unix.Mkdirat(fd, "d", 0o755); err == nil {
			next, err = unix.Openat(fd, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		}
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	return err
}
