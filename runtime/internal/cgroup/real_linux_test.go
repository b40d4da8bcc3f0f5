package cgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

var counter atomic.Int32

// real gives a manager of a new group on this machine, and removes it afterwards.
func real(t *testing.T, cgroupsPath string) *manager {
	t.Helper()
	l, err := Detect()
	if err != nil {
		t.Skipf("no control groups here: %v", err)
	}
	if cgroupsPath == "" {
		cgroupsPath = fmt.Sprintf("/oci-test-%d-%d", os.Getpid(), counter.Add(1))
	}
	if os.Getuid() != 0 {
		cgroupsPath = cgroupsPath[1:] // beside the own group, which systemd may have delegated
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
	if of, err := Of(cmd.Process.Pid); err != nil || !maps.Equal(of.Paths(), m.Paths()) {
		t.Errorf("the groups of the process: %v, %v", of, err)
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
	var parents []string
	t.Cleanup(func() { // after that of real, which removes the leaf
		for _, dir := range parents {
			_, _ = rmdir(dir), rmdir(filepath.Dir(dir))
		}
	})
	m := real(t, top+"/mid/leaf")
	for _, dir := range m.Paths() {
		parents = append(parents, filepath.Dir(dir))
	}
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
	if os.Getuid() != 0 {
		return // cannot give files away
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
