package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
)

func TestTrees(t *testing.T) {
	// The type of what is mounted is asked of the kernel, so these lines are about this machine or about nothing.
	unified, v1 := trees([]mount{{"/", "/nowhere", "cgroup2", nil}, {"/", "/proc", "cgroup", []string{"rw", "memory"}}}, "4:memory:/a\n0::/b\n")
	if unified != nil || v1 != nil {
		t.Errorf("mounts that are covered: %v, %v", unified, v1)
	}
	unified, v1 = trees(readMounts(), read("/proc/self/cgroup"))
	if unified == nil && v1 == nil {
		t.Skip("no control groups here")
	}
	for _, tree := range v1 {
		if !exists(tree.own+"/cgroup.procs") || len(tree.controllers) == 0 {
			t.Errorf("%+v is no group", tree)
		}
	}
	if unified != nil && !exists(unified.own+"/cgroup.procs") {
		t.Errorf("%+v is no group", unified)
	}
}

func TestTree_parent(t *testing.T) {
	top := t.TempDir()
	if err := os.MkdirAll(top+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tree      tree
		path, out string
	}{
		{tree{top, top + "/a/b", nil}, "", top + "/a"},
		{tree{top, top, nil}, "", top},
		{tree{top, top + "/a/b", []string{"memory"}}, "x", top + "/a/b"},
		{tree{top, top, nil}, "/a/b/c", top + "/a/b"},
		{tree{top, top, nil}, "/a/new/c", top + "/a"},
		{tree{top, top, nil}, "/new/c", top},
		{tree{top, top, nil}, "/../../c", top},
	} {
		if got := c.tree.parent(c.path); got != c.out {
			t.Errorf("parent of %q in %+v: %s, want %s", c.path, c.tree, got, c.out)
		}
	}
}

// TestControl_two has a hierarchy of v2 made of plain files: what is passed on to the place of the container, and who may ask.
func TestControl_two(t *testing.T) {
	top := t.TempDir()
	for name, text := range map[string]string{
		"cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": "cpu memory\n",
		"user/cgroup.controllers": "cpu memory\n", "user/cgroup.subtree_control": "memory\n", "user/cgroup.procs": "",
		"user/own/cgroup.controllers": "memory\n", "user/own/memory.max": "max\n", "user/own/cgroup.procs": "1\n",
		"user/cpuset.cpus.effective": "0-2\n",
	} {
		p := filepath.Join(top, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	c := Control{Controllers: map[string]int{}, Known: map[string]bool{}, Seen: map[string]bool{}}
	c.two(tree{mount: top, own: top + "/user/own"}, "", true)
	want := map[string]int{"cpu": 2, "memory": 2}
	if os.Geteuid() == 0 {
		want["pids"] = 2 // root switches it on from the top
	}
	if !reflect.DeepEqual(c.Controllers, want) || !c.Writable {
		t.Errorf("controllers %v, writable %v", c.Controllers, c.Writable)
	}
	if !c.Known["memory.max"] || !c.Seen["memory"] || c.Seen["pids"] || !reflect.DeepEqual(c.CPUs, []Range{{0, 2}}) {
		t.Errorf("seen %v, known %v, processors %v", c.Seen, c.Known, c.CPUs)
	}
}

func TestSubIDs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(name, []byte("root:1:2\n0:10:5\nother:100:1\nroot:x:1\nroot:1\nroot:5:0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := subIDs(name, 0); !reflect.DeepEqual(got, []Range{{1, 2}, {10, 14}}) {
		t.Errorf("got %v", got)
	}
}

func TestRanges(t *testing.T) {
	have := joined([]Range{{10, 19}, {0, 4}, {5, 9}, {30, 31}})
	for _, c := range []struct {
		want Range
		all  bool
		some bool
	}{{Range{0, 19}, true, true}, {Range{3, 12}, true, true}, {Range{19, 20}, false, true}, {Range{20, 29}, false, false}, {Range{25, 40}, false, true}, {Range{32, 32}, false, false}} {
		if covered(have, c.want) != c.all || touched(have, c.want) != c.some {
			t.Errorf("%v", c.want)
		}
	}
	if list, ok := parseRanges("0-3,7\n"); !ok || !reflect.DeepEqual(list, []Range{{0, 3}, {7, 7}}) || ranges(list) != "0-3,7" {
		t.Errorf("got %v, %v", list, ok)
	}
	for _, bad := range []string{"3-1", "a", "1-", "-1", "99999999999"} {
		if _, ok := parseRanges(bad); ok {
			t.Errorf("%q is no list", bad)
		}
	}
}

// TestFacts_files_hang: a file system that does not answer is told of, and not waited for.
func TestFacts_files_hang(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var f Facts
	f.files(ctx, func(ctx context.Context, asked, answers chan<- looked) {
		asked <- looked{path: "/good"}
		answers <- looked{path: "/good", file: File{Kind: Regular}}
		asked <- looked{inside: true, path: "/hangs"}
		<-ctx.Done() // as a system call would that never returns
	})
	if f.Files["/good"].Kind != Regular || f.Inside["/hangs"].Kind != Hung {
		t.Errorf("got %v, %v", f.Files, f.Inside)
	}
}

func TestInsideFile_real(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/usr/bin", 0o755), os.Symlink("/usr/bin", dir+"/bin"), os.WriteFile(dir+"/usr/bin/sh", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for p, want := range map[string]File{
		"/bin/sh": {Kind: Regular, Real: "/usr/bin/sh"}, "/bin/none": {Kind: Absent, Real: "/usr/bin/none"}, "/": {Kind: Directory, Real: "/"},
		"/none/none": {Kind: Absent}, "/bin/sh/x": {Kind: Absent, Real: "/usr/bin/sh/x"}, "/../bin": {Kind: Directory, Real: "/usr/bin"},
	} {
		if got := insideFile(root, p, false); got.Kind != want.Kind || got.Real != want.Real {
			t.Errorf("%s: %s at %q, want %s at %q", p, got.Kind, got.Real, want.Kind, want.Real)
		}
	}
}

// TestProbe_changesNothing: the root directory, the files that are named, and what is open are as before.
func TestProbe_changesNothing(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	if err := errors.Join(os.Mkdir(root, 0o755), unix.Mkfifo(root+"/fifo", 0o777), os.Symlink("/etc/passwd", root+"/away"), os.Symlink("loop", root+"/loop")); err != nil {
		t.Fatal(err)
	}
	s := everything()
	s.Root.Path = "rootfs"
	s.Process.Args = []string{"/fifo"}
	s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/away"}, {Path: "/loop"}, {Path: "/../../../etc/passwd"}}, CreateRuntime: []specs.Hook{{Path: root + "/fifo"}}}
	_, _ = Probe(t.Context(), s, dir)
	before := len(names("/proc/self/fd"))
	f, err := Probe(t.Context(), s, dir)
	if err != nil {
		t.Fatal(err)
	}
	if after := len(names("/proc/self/fd")); after > before {
		t.Errorf("%d descriptors more", after-before)
	}
	if f.Inside["/fifo"].Kind != FIFO || f.Inside["/away"].Kind != Absent || f.Inside["/etc/passwd"].Kind != Absent || f.Files[root+"/fifo"].Kind != FIFO {
		t.Errorf("got %v", f.Inside)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Probe(ctx, s, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Probe(t.Context(), nil, ""); err != nil {
		t.Error(err)
	}
}

func BenchmarkProbe(b *testing.B) {
	dir := b.TempDir()
	if err := os.Mkdir(dir+"/rootfs", 0o755); err != nil {
		b.Fatal(err)
	}
	s := bundle.DefaultSpec()
	for b.Loop() {
		f, err := Probe(b.Context(), s, dir)
		if err != nil {
			b.Fatal(err)
		}
		Judge(s, f)
	}
}
