package cgroup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// fake gives a manager for a directory tree that looks like the hierarchies of a machine: mkdir and
// the files are real, what the kernel does is not.
func fake(t *testing.T, version string, o Options) (*manager, string) {
	t.Helper()
	root := t.TempDir()
	var l Layout
	for _, c := range []string{"memory", "cpuset", "devices", "freezer", "pids"} {
		if version == "v2" {
			break
		}
		mount := filepath.Join(root, c)
		if err := os.MkdirAll(filepath.Join(mount, "own"), 0o755); err != nil {
			t.Fatal(err)
		}
		l.v1 = append(l.v1, hierarchy{mount: mount, own: mount + "/own", controllers: []string{c}})
	}
	if version != "v1" {
		mount := filepath.Join(root, "unified")
		if err := os.MkdirAll(filepath.Join(mount, "own"), 0o755); err != nil {
			t.Fatal(err)
		}
		l.unified = hierarchy{mount: mount, own: mount + "/own"}
	}
	m, err := New(l, "/a/b", "b", o)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*manager), root
}

func put(t *testing.T, name, value string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestFakeCreateV2(t *testing.T) {
	m, root := fake(t, "v2", Options{})
	put(t, root+"/unified/cgroup.controllers", "cpu memory pids\n")
	put(t, root+"/unified/cgroup.subtree_control", "")
	if err := m.Create(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, root+"/unified/cgroup.subtree_control"); got != "+cpu +memory +pids" {
		t.Errorf("controllers for the parent: %q", got)
	}
	if !m.fresh {
		t.Error("the group is not known to be new")
	}
	leaf := root + "/unified/a/b"
	for _, f := range []string{"memory.max", "memory.swap.max", "pids.max", "cpu.max"} {
		put(t, leaf+"/"+f, "")
	}
	put(t, leaf+"/cpu.max", "5000 100000")
	err := m.Apply(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Swap: ptr[int64](1 << 20)},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](7)},
		CPU:    &specs.LinuxCPU{Period: ptr[uint64](50000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[string]string{"memory.max": "1048576", "memory.swap.max": "0", "pids.max": "7", "cpu.max": "5000 50000"} {
		if got := read(t, leaf+"/"+f); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", f, got, want)
		}
	}
	err = m.Apply(&specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}})
	if !errors.Is(err, ErrController) || !strings.Contains(err.Error(), "cpuset.cpus") {
		t.Errorf("RS-CG4 a controller that is not there: %v", err)
	}
	put(t, leaf+"/memory.current", "2097152\n")
	err = m.Apply(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](1 << 20), CheckBeforeUpdate: ptr(true)}})
	if !errors.Is(err, ErrUsage) {
		t.Errorf("RS-CG3: %v", err)
	}
}

func TestFakeCreateV1(t *testing.T) {
	m, root := fake(t, "v1", Options{})
	put(t, root+"/cpuset/cpuset.cpus", "0-3\n")
	put(t, root+"/cpuset/cpuset.mems", "0\n")
	put(t, root+"/cpuset/a/cpuset.cpus", "\n") // made by another program, and left empty
	put(t, root+"/cpuset/a/cpuset.mems", "\n")
	put(t, root+"/cpuset/a/b/cpuset.cpus", "")
	put(t, root+"/cpuset/a/b/cpuset.mems", "")
	if err := m.Create(context.Background()); err != nil {
		t.Fatal(err)
	}
	for f, want := range map[string]string{"/a/cpuset.cpus": "0-3", "/a/b/cpuset.cpus": "0-3", "/a/b/cpuset.mems": "0"} {
		if got := read(t, root+"/cpuset"+f); got != want {
			t.Errorf("%s: got %q, want %q", f, got, want)
		}
	}
	for _, c := range []string{"memory", "freezer", "pids", "devices"} {
		if _, err := os.Stat(root + "/" + c + "/a/b"); err != nil {
			t.Error(err)
		}
	}
	put(t, root+"/devices/a/b/devices.deny", "")
	put(t, root+"/devices/a/b/devices.allow", "")
	if err := m.Apply(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(false, "a", "rwm")}}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, root+"/devices/a/b/devices.deny"); got != "a" {
		t.Errorf("devices.deny: %q", got)
	}
}

func TestFakeNotEmpty(t *testing.T) {
	m, root := fake(t, "v2", Options{})
	put(t, root+"/unified/a/b/cgroup.procs", "")
	put(t, root+"/unified/a/b/c/cgroup.procs", "17\n18\n")
	err := m.Create(context.Background())
	if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), "container's cgroup is not empty: 2 process(es) found") {
		t.Errorf("got %v", err)
	}
	put(t, root+"/unified/a/b/c/cgroup.procs", "")
	put(t, root+"/unified/a/b/cgroup.freeze", "1\n")
	if err := m.Create(context.Background()); !errors.Is(err, ErrFrozen) {
		t.Errorf("got %v", err)
	}
	put(t, root+"/unified/a/b/cgroup.freeze", "0\n")
	if err := m.Create(context.Background()); err != nil || m.fresh {
		t.Errorf("an empty group is another's: %v, fresh %v", err, m.fresh)
	}
}

func TestFakeUndo(t *testing.T) {
	m, root := fake(t, "v1", Options{})
	put(t, root+"/pids/a", "a file in the way")
	if err := m.Create(context.Background()); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(root + "/memory/a/b"); err == nil {
		t.Error("a half-made group is left")
	}
}

func TestRootless(t *testing.T) {
	if os.Getuid() == 0 {
		// Permissions do not stop root: the manager is put in the state that they lead to.
		m := &manager{options: Options{IgnorePermission: true}, denied: unix.EACCES}
		if err := m.Apply(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(false, "a", "rwm")}}); err != nil {
			t.Errorf("nothing but device rules: %v", err)
		}
		if err := m.Apply(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](5)}}); !errors.Is(err, ErrPermission) || !errors.Is(err, unix.EACCES) {
			t.Errorf("a limit: %v", err)
		}
		if err := m.Join(os.Getpid()); err != nil {
			t.Error(err)
		}
		if err := m.Enter(func() error { return nil }); err != nil {
			t.Error(err)
		}
		if err := errors.Join(m.Kill(), m.Delete(context.Background())); err != nil {
			t.Error(err)
		}
		return
	}
	m, root := fake(t, "v2", Options{IgnorePermission: true})
	if err := os.Chmod(root+"/unified", 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root+"/unified", 0o755) })
	if err := m.Create(context.Background()); err != nil || m.unified.dir != "" {
		t.Errorf("got %v, %v", err, m.Paths())
	}
}
