package tartest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Canary is a place to unpack into, with files around it that must not change: each is looked at down
// to its inode, so that a change that was undone, or one to a second name, is seen too.
type Canary struct {
	Dir    string // holds all; "out" and "secret" are in it, and "a"
	Target string // Dir/a/target, which is not there yet; this and what is below it may change
	before map[string]string
}

// NewCanary makes one in a directory that goes with the test. Its files have what could change: content,
// modes, owners, times, xattrs, a second name, and one is of each type that this process may make.
func NewCanary(tb testing.TB) *Canary {
	tb.Helper()
	c := &Canary{Dir: tb.TempDir()}
	c.Target = filepath.Join(c.Dir, "a", "target")
	err := errors.Join(
		os.Mkdir(c.path("a"), 0o755), os.Mkdir(c.path("out"), 0o755), os.MkdirAll(c.path("out/d/e"), 0o711),
		c.write("secret", 0o600), c.write("out/secret", 0o600), c.write("a/secret", 0o600), c.write("out/d/e/f", 0o640),
		c.write("out/suid", 0o755), os.Link(c.path("out/secret"), c.path("out/second")),
		os.Symlink("secret", c.path("out/link")), os.Symlink("a/target", c.path("to-target")), unix.Mkfifo(c.path("out/fifo"), 0o620),
	)
	if err == nil && os.Geteuid() == 0 {
		err = errors.Join(
			os.Chown(c.path("out/d"), 7, 8), os.Lchown(c.path("out/link"), 9, 10),
			unix.Mknod(c.path("out/null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
			unix.Setxattr(c.path("out/suid"), "trusted.canary", []byte("sings"), 0),
			unix.Setxattr(c.path("out"), "trusted.overlay.canary", []byte("sings"), 0),
		)
	}
	if err == nil {
		err = errors.Join(os.Chmod(c.path("out/suid"), 0o4755), os.Chmod(c.path("out/d"), 0o1770))
	}
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"out/d/e/f", "out/d/e", "out/d", "out/secret", "out/suid", "secret"} {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, c.path(name), []unix.Timespec{{Sec: 1, Nsec: 2}, {Sec: 3, Nsec: 4}}, 0); err != nil {
			tb.Fatal(err)
		}
	}
	if c.before, err = c.look(); err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c *Canary) path(name string) string { return filepath.Join(c.Dir, name) }

func (c *Canary) write(name string, mode os.FileMode) error {
	return os.WriteFile(c.path(name), []byte("secret"), mode)
}

// Check reports what changed outside of the target.
func (c *Canary) Check(tb testing.TB) {
	tb.Helper()
	c.check(tb, true)
}

// CheckButLinks is Check where a test itself gave the files other names meanwhile: it does not look at
// the count of links and the time of change.
func (c *Canary) CheckButLinks(tb testing.TB) {
	tb.Helper()
	c.check(tb, false)
}

func (c *Canary) check(tb testing.TB, links bool) {
	tb.Helper()
	after, err := c.look()
	if err != nil {
		tb.Errorf("outside of the root: %v", err)
		return
	}
	for _, path := range slices.Sorted(maps.Keys(c.before)) {
		was, is := c.before[path], after[path]
		if !links {
			was, _, _ = strings.Cut(was, linkMark)
			is, _, _ = strings.Cut(is, linkMark)
		}
		if was != is {
			tb.Errorf("outside of the root, %q:\n   was %s\n   is  %s", path, was, is)
		}
	}
	for path, is := range after {
		if _, ok := c.before[path]; !ok {
			tb.Errorf("outside of the root, %q is new: %s", path, is)
		}
	}
}

const linkMark = " links "

// look describes all but the target. The times and links of its parent may change.
func (c *Canary) look() (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir(c.Dir, func(path string, _ os.DirEntry, err error) error {
		if path == c.Target {
			if err != nil {
				return nil //nolint:nilerr // it comes and goes in some tests
			}
			return filepath.SkipDir
		}
		if err != nil {
			return err
		}
		text, err := witness(path, path == filepath.Dir(c.Target))
		found[strings.TrimPrefix(path, c.Dir)] = text
		return err
	})
	return found, err
}

// witness describes one file with all that can be known of it.
func witness(path string, parent bool) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d mode %o owner %d:%d rdev %x", st.Dev, st.Ino, st.Mode, st.Uid, st.Gid, st.Rdev)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		content, err := sum(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " size %d sum %s", st.Size, content)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " to %q", target)
	}
	list, err := allXattrs(path)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, " xattrs %q", list)
	if !parent {
		fmt.Fprintf(&b, " mtime %d.%09d%s%d ctime %d.%09d", st.Mtim.Sec, st.Mtim.Nsec, linkMark, st.Nlink, st.Ctim.Sec, st.Ctim.Nsec)
	}
	return b.String(), nil
}

func allXattrs(path string) ([]string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	var list []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		val := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(path, name, val)
		if err != nil {
			return nil, err
		}
		list = append(list, name+"="+string(val[:m]))
	}
	sort.Strings(list)
	return list, nil
}
