package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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
	if err := m.Create(context.Background()); err != nil || m.unified.dir != "" {
		t.Errorf("got %v, %v", err, m.Paths())
	}
}

var counter atomic.Int32

// real gives a manager of a new group on this machine, and removes it afterwards.
func real(t *testing.T, cgroupsPath string) *manager {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make control groups")
	}
	l, err := Detect()
	if err != nil {
		t.Skipf("no control groups here: %v", err)
	}
	if cgroupsPath == "" {
		cgroupsPath = fmt.Sprintf("/oci-test-%d-%d", os.Getpid(), counter.Add(1))
	}
	made, err := New(l, cgroupsPath, "unused", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Create(context.Background()); err != nil {
		if unpermitted(err) {
			t.Skipf("control groups cannot be made here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = made.Kill()
		if err := made.Delete(context.Background()); err != nil {
			t.Error(err)
		}
		for c, dir := range made.Paths() {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%q: %s is left", c, dir)
			}
		}
	})
	return made.(*manager)
}

func sleeper(t *testing.T, command ...string) *exec.Cmd {
	t.Helper()
	if len(command) == 0 {
		command = []string{"sleep", "100"}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// reap ends a process whatever the test found out.
func reap(t *testing.T, cmd *exec.Cmd) {
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait()
	})
}

func inGroup(t *testing.T, m *manager, pid int) {
	t.Helper()
	for c, dir := range m.Paths() {
		procs := strings.Fields(read(t, dir+"/cgroup.procs"))
		if !slices.Contains(procs, strconv.Itoa(pid)) {
			t.Errorf("controller %q: %d is not in %s: %v", c, pid, dir, procs)
		}
	}
}

func TestRealLife(t *testing.T) {
	m := real(t, "")
	cmd := sleeper(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	if err := m.Join(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	inGroup(t, m, cmd.Process.Pid)
	later := Load(m.Paths())
	pids, err := later.Pids()
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("pids %v, %v", pids, err)
	}
	if err := m.Create(context.Background()); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second container in the group: %v", err)
	}
	for _, want := range []bool{true, false, true} {
		act := later.Thaw
		if want {
			act = later.Freeze
		}
		if err := act(); err != nil {
			t.Fatal(err)
		}
		if got, err := later.Frozen(); got != want || err != nil {
			t.Errorf("frozen %v, %v; want %v", got, err, want)
		}
	}
	if _, err := later.Stats(); err != nil {
		t.Error(err)
	}
	if err := later.Kill(); err != nil { // also while frozen
		t.Fatal(err)
	}
	if state, err := cmd.Process.Wait(); err != nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v, %v", state, err)
	}
	if err := later.Delete(context.Background()); err != nil {
		t.Error(err)
	}
	if err := later.Delete(context.Background()); err != nil {
		t.Errorf("a second delete: %v", err)
	}
	if is, err := later.Frozen(); is || err != nil {
		t.Errorf("a group that is gone: %v %v", is, err)
	}
}

// TestRealEnter: the child is in all hierarchies from its first instruction, and this process in none.
func TestRealEnter(t *testing.T) {
	m := real(t, "")
	before := read(t, "/proc/thread-self/cgroup")
	dir, err := m.DirFD()
	if err != nil {
		t.Fatal(err)
	}
	cmd := sleeper(t)
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if m.version("pids") != 0 {
		if err := m.Apply(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](1)}}); err != nil {
			t.Fatalf("RS-CG8: %v", err)
		}
	}
	if err := m.Enter(func() error {
		cmd.SysProcAttr.Pdeathsig = 0 // of the thread, which may end before
		return cmd.Start()
	}); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	inGroup(t, m, cmd.Process.Pid)
	if after := read(t, "/proc/thread-self/cgroup"); after != before {
		t.Errorf("this thread was in\n%s\nand is in\n%s", before, after)
	}
	if m.version("pids") != 0 {
		path := m.find("pids")
		if path == "" {
			path = m.unified.dir
		}
		if got := read(t, path+"/pids.max"); got != "1" {
			t.Errorf("RS-CG8: pids.max is %s", got)
		}
	}
	failure := errors.New("failure")
	if err := m.Enter(func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	again := Load(m.Paths())
	if err := again.Enter(func() error { return nil }); err != nil {
		t.Errorf("a manager from a state file: %v", err)
	}
}

func TestRealBelow(t *testing.T) {
	m := real(t, "")
	for _, dir := range m.Paths() {
		for _, sub := range []string{"/x", "/x/y", "/z"} {
			if err := os.Mkdir(dir+sub, 0o755); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
		}
	}
	cmd := sleeper(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	if err := os.WriteFile(m.tree()+"/x/y/cgroup.procs", []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	if pids, err := m.Pids(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("pids %v, %v", pids, err)
	}
	if err := m.killEach(); err != nil { // the way of kernels before 5.14
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { // it is reaped while Delete waits for it
		time.Sleep(20 * time.Millisecond)
		_, err := cmd.Process.Wait()
		done <- err
	}()
	if err := m.Delete(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRealDeleteBusy(t *testing.T) {
	m := real(t, "")
	cmd := sleeper(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	if err := m.Join(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := m.Delete(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	_ = cmd.Process.Kill()
	_, _ = cmd.Process.Wait()
}

func TestRealParents(t *testing.T) {
	top := fmt.Sprintf("/oci-test-%d-%d", os.Getpid(), counter.Add(1))
	t.Cleanup(func() {
		l, _ := Detect()
		for _, h := range append(l.v1, l.unified) {
			if h.mount != "" {
				_, _ = rmdir(h.mount+top+"/mid"), rmdir(h.mount+top)
			}
		}
	})
	m := real(t, top+"/mid/leaf")
	cmd := sleeper(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	if err := m.Join(cmd.Process.Pid); err != nil { // v1 takes nobody into an empty cpuset
		t.Fatal(err)
	}
	if len(m.v1) == 0 {
		if got := read(t, m.unified.dir+"/cgroup.controllers"); !strings.Contains(got, "memory") || !strings.Contains(got, "pids") {
			t.Errorf("controllers of the group: %q", got)
		}
	}
}

// TestRealLimits sets what the machine has controllers for, and asks the kernel what it took.
func TestRealLimits(t *testing.T) {
	m := real(t, "")
	r := &specs.LinuxResources{}
	want := map[string]string{}
	v := m.version("memory")
	if v != 0 {
		r.Memory = &specs.LinuxMemory{Limit: ptr[int64](64 << 20), Reservation: ptr[int64](32 << 20)}
		want[[]string{"", "memory.limit_in_bytes", "memory.max"}[v]] = "67108864"
	}
	if v = m.version("pids"); v != 0 {
		r.Pids = &specs.LinuxPids{Limit: ptr[int64](9)}
		want["pids.max"] = "9"
	}
	if v = m.version("cpu"); v == 2 {
		r.CPU = &specs.LinuxCPU{Shares: ptr[uint64](1024)}
		want["cpu.weight"] = "100"
	} else if v == 1 {
		r.CPU = &specs.LinuxCPU{Shares: ptr[uint64](512)}
		want["cpu.shares"] = "512"
		if _, err := os.Stat(m.find("cpu") + "/cpu.cfs_quota_us"); err == nil {
			r.CPU.Quota, r.CPU.Period = ptr[int64](20000), ptr[uint64](40000)
			want["cpu.cfs_quota_us"], want["cpu.cfs_period_us"] = "20000", "40000"
		}
	}
	if m.find("cpuset") != "" {
		r.CPU.Cpus = "0"
		want["cpuset.cpus"] = "0"
	}
	if err := m.Apply(r); err != nil {
		t.Fatal(err)
	}
	for f, value := range want {
		controller, _, _ := strings.Cut(f, ".")
		dir := m.find(controller)
		if dir == "" {
			dir = m.unified.dir
		}
		if got := read(t, dir+"/"+f); got != value {
			t.Errorf("%s: got %q, want %q", f, got, value)
		}
	}
	stats, err := m.Stats()
	if err != nil || r.Memory != nil && stats.MemoryLimit != 64<<20 || r.Pids != nil && stats.PidsLimit != 9 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if r.Memory == nil {
		return
	}
	// Raised and lowered again: memory and memory+swap depend on each other on v1.
	for _, limit := range []int64{256 << 20, 16 << 20, -1} {
		up := &specs.LinuxMemory{Limit: &limit}
		if _, err := os.Stat(m.find("memory") + "/memory.memsw.limit_in_bytes"); err == nil {
			up.Swap = ptr(max(limit+1<<20, -1))
			if limit == -1 {
				up.Swap = ptr[int64](-1)
			}
		}
		if err := m.Apply(&specs.LinuxResources{Memory: up}); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

// TestRealDevices: a process in the group opens /dev/null and makes nodes, and has of /dev/kmsg what the rules say.
func TestRealDevices(t *testing.T) {
	m := real(t, "")
	if m.version("devices") == 0 {
		t.Skip("no devices controller")
	}
	dir := t.TempDir()
	kmsg := dir + "/kmsg"
	if err := unix.Mknod(kmsg, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		t.Skipf("cannot make device nodes: %v", err)
	}
	script := fmt.Sprintf(`read go; true </dev/null && echo null; true <%s && echo kmsg; true >>%s && echo wkmsg; mknod %s/made c 1 3 && echo mknod; exit 0`, kmsg, kmsg, dir)
	try := func(rules ...specs.LinuxDeviceCgroup) string {
		t.Helper()
		_ = os.Remove(dir + "/made")
		if err := m.Apply(&specs.LinuxResources{Devices: rules}); err != nil {
			t.Fatal(err)
		}
		cmd := sleeper(t, "sh", "-c", script)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		reap(t, cmd)
		if err := m.Join(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		_, _ = in.Write([]byte("go\n"))
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, errs.String())
		}
		return strings.Join(strings.Fields(out.String()), " ")
	}
	all := rule(false, "a", "rwm")
	if got := try(rule(true, "a", "rwm")); got != "null kmsg wkmsg mknod" {
		t.Skipf("this machine forbids already: %q", got)
	}
	if got := try(all); got != "null mknod" {
		t.Errorf("nothing: %q", got)
	}
	if got := try(all, rule(true, "c", "r", 1, 11)); got != "null kmsg mknod" { // an update, replacing
		t.Errorf("read only: %q", got)
	}
	if got := try(all, rule(true, "c", "r", 1, 11), rule(true, "c", "w", 1, 11)); got != "null kmsg wkmsg mknod" {
		t.Errorf("read and write by two rules: %q", got)
	}
	if got := try(rule(true, "a", "rwm"), rule(false, "c", "w", 1, 11)); got != "null kmsg mknod" {
		t.Errorf("all but one: %q", got)
	}
	if len(m.v1) == 0 {
		fd, err := open(m.unified.dir, unix.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		programs, err := bpfAttached(fd)
		closeAll(programs)
		if err != nil || len(programs) != 1 {
			t.Errorf("%d programs are attached, %v", len(programs), err)
		}
	}
}

func TestRealUnified(t *testing.T) {
	m := real(t, "")
	err := m.Apply(&specs.LinuxResources{Unified: map[string]string{"memory.high": "67108864"}})
	if len(m.v1) > 0 {
		if !errors.Is(err, ErrVersion) {
			t.Errorf("RS-CG4: %v", err)
		}
		return
	}
	if err != nil || read(t, m.unified.dir+"/memory.high") != "67108864" {
		t.Errorf("RS-CG4: %v", err)
	}
	if err := m.Apply(&specs.LinuxResources{Unified: map[string]string{"nothing.max": "1"}}); !errors.Is(err, ErrController) {
		t.Errorf("RS-CG4 unknown controller: %v", err)
	}
	if err := m.Chown(12345); err != nil {
		t.Error(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(m.unified.dir+"/cgroup.procs", &st); err != nil || st.Uid != 12345 {
		t.Errorf("RS-CG9: owner %d, %v", st.Uid, err)
	}
}

func BenchmarkCreateDelete(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root to make control groups")
	}
	for b.Loop() {
		l, err := Detect()
		if err != nil {
			b.Fatal(err)
		}
		m, err := New(l, fmt.Sprintf("/oci-bench-%d", os.Getpid()), "x", Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Create(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := m.Enter(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
		if err := m.Delete(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
