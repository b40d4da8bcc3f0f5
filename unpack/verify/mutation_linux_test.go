package verify_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// mutation is a change to a root file system and what must be found.
type mutation struct {
	name  string
	level verify.Level // the first that finds it
	do    func(dir string) error
	want  []string
}

// keepTimes gives a path the time back that it had before change.
func keepTimes(change func(dir string) error, paths ...string) func(string) error {
	return func(dir string) error {
		var stats []unix.Stat_t
		for _, p := range paths {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dir, p), &st); err != nil {
				return err
			}
			stats = append(stats, st)
		}
		if err := change(dir); err != nil {
			return err
		}
		for i, p := range paths {
			ts := []unix.Timespec{stats[i].Atim, stats[i].Mtim}
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(dir, p), ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return err
			}
		}
		return nil
	}
}

// flipByte changes a byte and nothing else.
func flipByte(path string, at int64) func(string) error {
	return keepTimes(func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, path), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		b := []byte{0}
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		b[0] ^= 1
		_, err = f.WriteAt(b, at)
		return err
	}, path)
}

func mutations() []mutation {
	in := func(f func(p string) error, name string) func(string) error {
		return func(dir string) error { return f(filepath.Join(dir, name)) }
	}
	return []mutation{
		{"byte of a file, its time as before", verify.Content, flipByte("srv/data", 100_000), []string{"changed /srv/data content"}},
		{"byte of a file with two names", verify.Content, flipByte("etc/second", 3), []string{"changed /etc/passwd content", "changed /etc/second content"}},
		{"size", verify.Metadata, keepTimes(in(func(p string) error { return os.Truncate(p, 3) }, "etc/owned"), "etc/owned"), []string{"changed /etc/owned size"}},
		{"hole of 10 GiB", verify.Metadata, keepTimes(in(func(p string) error { return os.Truncate(p, 10<<30) }, "srv/data"), "srv/data"), []string{"changed /srv/data size"}},
		{"mode", verify.Metadata, in(func(p string) error { return os.Chmod(p, 0o600) }, "etc/owned"), []string{"changed /etc/owned mode"}},
		{"setuid", verify.Metadata, in(func(p string) error { return unix.Chmod(p, 0o4644) }, "etc/owned"), []string{"changed /etc/owned mode"}},
		{"mode of a directory", verify.Metadata, in(func(p string) error { return os.Chmod(p, 0o700) }, "empty"), []string{"changed /empty mode"}},
		{"owner", verify.Metadata, in(func(p string) error { return os.Lchown(p, 0, 100) }, "etc/owned"), []string{"changed /etc/owned owner"}},
		{"owner of a link", verify.Metadata, in(func(p string) error { return os.Lchown(p, 5, 5) }, "etc/link"), []string{"changed /etc/link owner"}},
		{"time of a file, by a nanosecond", verify.Metadata, in(func(p string) error {
			at := time.Unix(1_600_000_000, 123_456_788)
			return os.Chtimes(p, at, at)
		}, "etc/owned"), []string{"changed /etc/owned mtime"}},
		{"time of a directory", verify.Metadata, in(func(p string) error { return os.Chtimes(p, time.Unix(5, 0), time.Unix(5, 0)) }, "empty"), []string{"changed /empty mtime"}},
		{"xattr removed", verify.Metadata, in(func(p string) error { return unix.Removexattr(p, "user.note") }, "etc/passwd"),
			[]string{`changed /etc/passwd xattr "user.note" removed`, `changed /etc/second xattr "user.note" removed`}},
		{"xattr added", verify.Metadata, in(func(p string) error { return unix.Setxattr(p, "trusted.new", []byte("x"), 0) }, "etc/owned"),
			[]string{`changed /etc/owned xattr "trusted.new" added`}},
		{"capability removed", verify.Metadata, in(func(p string) error { return unix.Removexattr(p, "security.capability") }, "bin/tool"),
			[]string{`changed /bin/tool xattr "security.capability" removed`}},
		{"ACL", verify.Metadata, keepTimes(in(func(p string) error {
			return unix.Setxattr(p, "system.posix_acl_default", []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"), 0)
		}, "empty"), "empty"), []string{`changed /empty xattr "system.posix_acl_default" added`}},
		{"hardlink broken", verify.Metadata, keepTimes(func(dir string) error {
			p := filepath.Join(dir, "etc/second")
			raw, err := os.ReadFile(p)
			if err == nil {
				err = os.Remove(p)
			}
			if err == nil {
				err = os.WriteFile(p, raw, 0o644)
			}
			if err == nil {
				err = unix.Setxattr(p, "user.note", []byte("kept"), 0)
			}
			at := time.Unix(1_600_000_000, 123_456_789)
			if err == nil {
				err = os.Chtimes(p, at, at)
			}
			return err
		}, "etc"), []string{"changed /etc/second hardlink"}},
		{"hardlink made", verify.Metadata, keepTimes(func(dir string) error {
			return os.Link(filepath.Join(dir, "etc/owned"), filepath.Join(dir, "empty/more"))
		}, "empty"), []string{"added /empty/more"}},
		{"hardlink broken, and the content changed", verify.Metadata, func(dir string) error {
			p := filepath.Join(dir, "etc/second")
			return keepTimes(func(string) error {
				if err := os.Remove(p); err != nil {
					return err
				}
				if err := os.WriteFile(p, []byte("toor:x:0:0\n"), 0o644); err != nil {
					return err
				}
				return unix.Setxattr(p, "user.note", []byte("kept"), 0)
			}, "etc", "etc/second")(dir)
		}, []string{"changed /etc/second hardlink"}},
		{"link retargeted", verify.Metadata, keepTimes(func(dir string) error {
			p := filepath.Join(dir, "etc/link")
			if err := os.Remove(p); err != nil {
				return err
			}
			if err := os.Symlink("/etc/shadow", p); err != nil {
				return err
			}
			return unix.Lutimes(p, []unix.Timeval{{}, {}})
		}, "etc"), []string{"changed /etc/link target"}},
		{"device number", verify.Metadata, keepTimes(func(dir string) error {
			p := filepath.Join(dir, "dev/null")
			if err := os.Remove(p); err != nil {
				return err
			}
			if err := unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(8, 0))); err != nil {
				return err
			}
			return os.Chmod(p, 0o666)
		}, "dev", "dev/null"), []string{"changed /dev/null device"}},
		{"type", verify.Metadata, keepTimes(func(dir string) error {
			p := filepath.Join(dir, "etc/owned")
			if err := os.Remove(p); err != nil {
				return err
			}
			return unix.Mkfifo(p, 0o644)
		}, "etc"), []string{"changed /etc/owned type"}},
		{"file for a directory", verify.Metadata, func(dir string) error {
			if err := os.RemoveAll(filepath.Join(dir, "srv")); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "srv"), nil, 0o644)
		}, []string{"changed / mtime", "changed /srv type", "removed /srv/data"}},
		{"link for a directory", verify.Metadata, keepTimes(func(dir string) error {
			if err := os.Rename(filepath.Join(dir, "srv"), filepath.Join(dir, "moved")); err != nil {
				return err
			}
			return os.Symlink("moved", filepath.Join(dir, "srv"))
		}, "."), []string{"added /moved", "added /moved/data", "changed /srv type", "removed /srv/data"}},
		{"extra file", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, "empty/new\n"), "empty"), []string{"added /empty/new\n"}},
		{"extra directory, with something in it", verify.Metadata, keepTimes(in(func(p string) error { return os.MkdirAll(p, 0o700) }, "empty/a/b"), "empty"),
			[]string{"added /empty/a", "added /empty/a/b"}},
		{"extra socket", verify.Metadata, keepTimes(in(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) }, "empty/s"), "empty"), []string{"added /empty/s"}},
		{"missing file", verify.Metadata, keepTimes(in(os.Remove, "srv/data"), "srv"), []string{"removed /srv/data"}},
		{"missing name of two", verify.Metadata, keepTimes(in(os.Remove, "etc/passwd"), "etc"), []string{"removed /etc/passwd"}},
		{"missing directory", verify.Metadata, keepTimes(in(os.Remove, "empty"), "."), []string{"removed /empty"}},
		{"removed file resurrected", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("gone"), 0o644) }, "etc/removed"), "etc"),
			[]string{"added /etc/removed"}},
		{"replaced file as it was below", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("first"), 0o644) }, "etc/replaced"), "etc/replaced"),
			[]string{"changed /etc/replaced size"}},
	}
}

// TestIS_T2_mutations changes a root file system in each way there is, and asks each level, with and without logs.
func TestIS_T2_mutations(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	img := imageOf(t, layers...)
	for _, m := range mutations() {
		t.Run(m.name, func(t *testing.T) {
			u := unpackImage(t, img, blobs, unpack.Options{})
			if err := m.do(u.dir); err != nil {
				t.Fatal(err)
			}
			for level := verify.Metadata; level <= verify.Exact; level++ {
				for _, logs := range []bool{true, false} {
					r := u.check(t, level, logs, nil)
					got := tell(r)
					var want []string
					if level >= m.level {
						want = m.want
					}
					if m.name == "hardlink broken, and the content changed" && level >= verify.Content {
						want = []string{"changed /etc/second hardlink,content"}
					}
					if !slices.Equal(got, want) || r.OK() != (len(want) == 0) {
						t.Errorf("level %s, logs %v: found %q, want %q; OK is %v, layers %+v", level, logs, got, want, r.OK(), r.Layers)
					}
				}
			}
		})
	}
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
