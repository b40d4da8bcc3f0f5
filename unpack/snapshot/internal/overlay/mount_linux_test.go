package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: overlay mounts and owners")
	}
}

// hostile is a name that the kernel's parsers of options would cut or unescape.
const hostile = `back\slash\,comma:colon "quote" \072 =`

// layers makes n directories below base, each with a file of its own and one that all have.
func layers(tb testing.TB, base string, n int) []string {
	tb.Helper()
	var dirs []string
	for i := range n {
		dir := filepath.Join(base, fmt.Sprint("layer", i), "fs")
		write(tb, filepath.Join(dir, fmt.Sprint("own", i)), "")
		write(tb, filepath.Join(dir, "d", "all"), fmt.Sprint(i))
		dirs = append(dirs, dir)
	}
	return dirs
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		tb.Fatal(err)
	}
}

// writable gives options an upper directory, and a scratch one, below base.
func writable(tb testing.TB, o Options, base string, upper bool) Options {
	tb.Helper()
	o.Scratch, o.ReadOnly = filepath.Join(base, "scratch"), !upper
	dirs := []string{o.Scratch}
	if upper {
		o.Upper, o.Work = filepath.Join(base, "upper"), filepath.Join(base, "work")
		dirs = append(dirs, o.Upper, o.Work)
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return o
}

// quiet fails the test if it leaves a mount in the namespace.
func quiet(tb testing.TB, base string) {
	tb.Helper()
	tb.Cleanup(func() {
		if info, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(info), base) {
			tb.Errorf("a mount is left in the namespace: %v", err)
		}
	})
}

func mountedTree(tb testing.TB, o Options, w way) map[string]tartest.Node {
	tb.Helper()
	f, err := mount(o, []way{w})
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

// TestMountWays mounts in each way that kernels have, with and without an upper directory, with and without id maps.
func TestMountWays(t *testing.T) {
	needRoot(t)
	store := filepath.Join(t.TempDir(), hostile)
	dirs := layers(t, store, 2)
	write(t, filepath.Join(dirs[0], "gone"), "x")
	err := errors.Join(
		unix.Mknod(filepath.Join(dirs[1], "gone"), unix.S_IFCHR, 0), os.Chmod(dirs[1], 0o711), os.Chown(dirs[1], 7, 8),
		os.Chown(filepath.Join(dirs[0], "own0"), 5, 6), unix.Utimes(dirs[1], []unix.Timeval{{Sec: 9}, {Sec: 9}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways() {
		for i := range 4 {
			upper, mapped := i&1 != 0, i&2 != 0
			t.Run(fmt.Sprintf("%s,upper=%v,mapped=%v", w.name, upper, mapped), func(t *testing.T) {
				base := filepath.Join(t.TempDir(), hostile)
				quiet(t, filepath.Dir(base))
				o := writable(t, Options{Layers: dirs}, base, upper)
				add := uint32(0)
				if mapped {
					add = 100000
					o.UIDMap = []unpack.IDMap{{HostID: add, Size: 65536}}
					o.GIDMap = o.UIDMap
				}
				f, err := mount(o, []way{w})
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				checkTree(t, f, upper, add)
			})
		}
	}
	if got, err := os.ReadDir(dirs[0]); err != nil || len(got) != 3 {
		t.Errorf("the layer has %v, %v", got, err)
	}
}

func checkTree(t *testing.T, f *os.File, upper bool, add uint32) {
	t.Helper()
	nodes, err := tartest.TreeOf(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := nodes["gone"]; ok || nodes["d/all"].Size != 1 {
		t.Errorf("the mount shows %v", nodes)
	}
	if n := nodes["own0"]; n.UID != 5+add || n.GID != 6+add {
		t.Errorf("own0 belongs to %d:%d", n.UID, n.GID)
	}
	if n := nodes["."]; n.Mode != 0o711 || n.UID != 7+add || n.GID != 8+add || n.Mtime != "9.000000000" {
		t.Errorf("the root is %s", n)
	}
	fd, err := unix.Openat(int(f.Fd()), "d/new", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	if upper && err != nil || !upper && err != unix.EROFS {
		t.Errorf("a write gives %v", err)
	}
}

// TestMountMany stacks as many layers as overlayfs takes, at long paths, in each way; one more is refused by all.
func TestMountMany(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), hostile)
	for range 3 {
		dir = filepath.Join(dir, strings.Repeat("p", 90))
	}
	all := layers(t, dir, MaxLayers+1)
	quiet(t, dir)
	for _, w := range ways() {
		for _, n := range []int{1, 2, 100, 127, 300, MaxLayers} {
			t.Run(fmt.Sprintf("%s,%d", w.name, n), func(t *testing.T) {
				o := writable(t, Options{Layers: all[:n]}, t.TempDir(), n > 1)
				if w.name == "lowerdir" && n > 63 { // 255 bytes, 4 for each
					if _, err := mount(o, []way{w}); !errors.Is(err, errTooLong) || !Unavailable(err) {
						t.Errorf("error %v", err)
					}
					return
				}
				nodes := mountedTree(t, o, w)
				if len(nodes) != n+3 || nodes["d/all"].Size != int64(len(fmt.Sprint(n-1))) {
					t.Errorf("%d nodes, %s", len(nodes), nodes["d/all"])
				}
			})
		}
		o := writable(t, Options{Layers: all}, t.TempDir(), true)
		if _, err := mount(o, []way{w}); !Unavailable(err) {
			t.Errorf("%s: %d layers: %v", w.name, len(all), err)
		}
	}
}

// TestMountNext goes to the next way where one is not to be had, and says of each what was wrong.
func TestMountNext(t *testing.T) {
	needRoot(t)
	o := writable(t, Options{Layers: layers(t, t.TempDir(), 2)}, t.TempDir(), true)
	no := way{name: "none", mount: func(*Options, []string) (int, error) { return -1, unix.ENOSYS }}
	f, err := mount(o, append([]way{no}, ways()...))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = mount(o, []way{no, {name: "denied", mount: func(*Options, []string) (int, error) { return -1, unix.EPERM }}, ways()[0]})
	if !errors.Is(err, unix.EPERM) || !errors.Is(err, unix.ENOSYS) || !Unavailable(err) || !strings.Contains(err.Error(), "denied") {
		t.Errorf("error %v", err)
	}
	o.Layers = append(slices.Clone(o.Layers), "/nowhere")
	if _, err := mount(o, ways()); !errors.Is(err, unix.ENOENT) || Unavailable(err) {
		t.Errorf("error %v", err)
	}
}

// TestMountMapsErrors: maps that no user namespace takes end in an error.
func TestMountMapsErrors(t *testing.T) {
	needRoot(t)
	o := writable(t, Options{Layers: layers(t, t.TempDir(), 2)}, t.TempDir(), true)
	o.UIDMap = []unpack.IDMap{{HostID: 1, Size: 10}, {ContainerID: 5, HostID: 100, Size: 10}}
	o.GIDMap = o.UIDMap
	if _, err := Mount(o); err == nil {
		t.Error("overlapping maps are taken")
	}
}
