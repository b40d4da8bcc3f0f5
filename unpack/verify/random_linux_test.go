package verify_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// FuzzIS_T2_any_change: whatever single change is made to whatever path, it is found at the level exact, at the path where it was made,
// and undoing it satisfies again.
func FuzzIS_T2_any_change(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, seed*7919, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, a, b uint64, logs bool) {
		needRoot(t)
		blobs, layers := sample()
		u := unpackImage(t, imageOf(t, layers...), blobs, unpack.Options{})
		r := rand.New(rand.NewPCG(a, b))
		var paths []string
		err := filepath.WalkDir(u.dir, func(path string, _ fs.DirEntry, err error) error {
			paths = append(paths, strings.TrimPrefix(strings.TrimPrefix(path, u.dir), "/"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		path := paths[r.IntN(len(paths))]
		what, undo, err := change(u.dir, path, r)
		if err != nil {
			t.Fatalf("%q: %s: %v", path, what, err)
		}
		level := verify.Content + verify.Level(r.IntN(2))
		rep := u.check(t, level, logs, nil)
		if rep.OK() || !slices.ContainsFunc(tell(rep), func(line string) bool {
			return strings.Contains(line+" ", " /"+path+" ") || strings.Contains(line, " "+filepath.Join("/", path, "new"))
		}) {
			t.Errorf("%q: %s: not found: %q", path, what, tell(rep))
		}
		if err := undo(); err != nil {
			t.Fatalf("%q: undo %s: %v", path, what, err)
		}
		if rep := u.check(t, level, !logs, nil); !rep.OK() {
			t.Errorf("%q: %s was undone, and found: %q", path, what, tell(rep))
		}
	})
}

// change makes a change to a path, and gives what undoes it.
func change(root, path string, r *rand.Rand) (what string, undo func() error, err error) {
	full := filepath.Join(root, path)
	var st unix.Stat_t
	if err := unix.Lstat(full, &st); err != nil {
		return "", nil, err
	}
	times := func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFREG && st.Size > 0 && r.IntN(2) == 0 {
		at, bit := r.Int64N(st.Size), byte(1)<<r.IntN(8)
		flip := func() error {
			f, err := os.OpenFile(full, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			b := []byte{0}
			if _, err := f.ReadAt(b, at); err != nil {
				return err
			}
			b[0] ^= bit
			if _, err := f.WriteAt(b, at); err != nil {
				return err
			}
			return restoreCapability(full, &st, times)
		}
		return fmt.Sprintf("bit %#x of byte %d", bit, at), flip, flip()
	}
	switch r.IntN(4) {
	case 0:
		ts := st.Mtim
		ts.Nsec = (ts.Nsec + 1 + r.Int64N(999_999_998)) % 1_000_000_000
		return "time", times, unix.UtimesNanoAt(unix.AT_FDCWD, full, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	case 1:
		own := func(uid, gid int) error {
			if err := os.Lchown(full, uid, gid); err != nil {
				return err
			}
			return restoreCapability(full, &st, times)
		}
		return "owner", func() error { return own(int(st.Uid), int(st.Gid)) }, own(r.IntN(1<<16)+70_000, int(st.Gid))
	case 2:
		if kind == unix.S_IFLNK {
			break
		}
		mode := st.Mode&0o7777 ^ 1<<r.IntN(9)
		return "mode", func() error { return unix.Chmod(full, st.Mode&0o7777) }, unix.Chmod(full, mode)
	}
	if kind == unix.S_IFDIR {
		name := filepath.Join(full, "new")
		undo := func() error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return times()
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return "", nil, err
		}
		return "extra file", undo, times()
	}
	hidden := root + ".kept"
	var parent unix.Stat_t
	dir := filepath.Dir(full)
	if err := unix.Lstat(dir, &parent); err != nil {
		return "", nil, err
	}
	back := func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, dir, []unix.Timespec{parent.Atim, parent.Mtim}, 0)
	}
	undo = func() error {
		if err := os.Rename(hidden, full); err != nil {
			return err
		}
		return back()
	}
	if err := os.Rename(full, hidden); err != nil {
		return "", nil, err
	}
	return "removed", undo, back()
}

// restoreCapability gives back what the kernel drops when a file is written or given away, then the times.
func restoreCapability(full string, st *unix.Stat_t, times func() error) error {
	if strings.HasSuffix(full, "bin/tool") {
		value := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		if err := unix.Setxattr(full, "security.capability", []byte(value), 0); err != nil {
			return err
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(full, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return times()
}
