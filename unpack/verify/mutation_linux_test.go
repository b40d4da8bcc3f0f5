package verify_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/verify"
)

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

// in applies a change to one path of a root file system.
func in(f func(p string) error, name string) func(string) error {
	return func(dir string) error { return f(filepath.Join(dir, name)) }
}

// contentAndAttributes are mutations of what a file is.
func contentAndAttributes() []mutation {
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
		{
			"xattr removed", verify.Metadata, in(func(p string) error { return unix.Removexattr(p, "user.note") }, "etc/passwd"),
			[]string{`changed /etc/passwd xattr "user.note" removed`, `changed /etc/second xattr "user.note" removed`},
		},
		{
			"xattr added", verify.Metadata, in(func(p string) error { return unix.Setxattr(p, "trusted.new", []byte("x"), 0) }, "etc/owned"),
			[]string{`changed /etc/owned xattr "trusted.new" added`},
		},
		{
			"capability removed", verify.Metadata, in(func(p string) error { return unix.Removexattr(p, "security.capability") }, "bin/tool"),
			[]string{`changed /bin/tool xattr "security.capability" removed`},
		},
		{"ACL", verify.Metadata, keepTimes(in(func(p string) error {
			return unix.Setxattr(p, "system.posix_acl_default", []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"), 0)
		}, "empty"), "empty"), []string{`changed /empty xattr "system.posix_acl_default" added`}},
	}
}

// linksAndTypes are mutations of names and types.
func linksAndTypes() []mutation {
	return []mutation{
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
	}
}

// extraAndMissing are mutations of which paths there are.
func extraAndMissing() []mutation {
	return []mutation{
		{"extra file", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, "empty/new\n"), "empty"), []string{"added /empty/new\n"}},
		{
			"extra directory, with something in it", verify.Metadata, keepTimes(in(func(p string) error { return os.MkdirAll(p, 0o700) }, "empty/a/b"), "empty"),
			[]string{"added /empty/a", "added /empty/a/b"},
		},
		{"extra socket", verify.Metadata, keepTimes(in(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) }, "empty/s"), "empty"), []string{"added /empty/s"}},
		{"missing file", verify.Metadata, keepTimes(in(os.Remove, "srv/data"), "srv"), []string{"removed /srv/data"}},
		{"missing name of two", verify.Metadata, keepTimes(in(os.Remove, "etc/passwd"), "etc"), []string{"removed /etc/passwd"}},
		{"missing directory", verify.Metadata, keepTimes(in(os.Remove, "empty"), "."), []string{"removed /empty"}},
		{
			"removed file resurrected", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("gone"), 0o644) }, "etc/removed"), "etc"),
			[]string{"added /etc/removed"},
		},
		{
			"replaced file as it was below", verify.Metadata, keepTimes(in(func(p string) error { return os.WriteFile(p, []byte("first"), 0o644) }, "etc/replaced"), "etc/replaced"),
			[]string{"changed /etc/replaced size"},
		},
	}
}

// TestIS_T2_mutations changes a root file system in each way there is, and asks each level, with and without logs.
func TestIS_T2_mutations(t *testing.T) {
	needRoot(t)
	blobs, layers := sample()
	img := imageOf(t, layers...)
	for _, m := range slices.Concat(contentAndAttributes(), linksAndTypes(), extraAndMissing()) {
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
