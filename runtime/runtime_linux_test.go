package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// bundle makes a bundle of one static program, with the configuration that `runc spec` writes.
func bundle(t testing.TB) (dir string, s *specs.Spec) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("containers with their own mounts need root here")
	}
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("/bin/busybox (Debian: busybox-static) is not installed")
	}
	dir = t.TempDir()
	for _, d := range []string{"bin", "proc", "sys", "dev", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/busybox"), box, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range strings.Fields(string(out)) {
		if n != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	raw, err := os.ReadFile("internal/plan/testdata/runc-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	s = new(specs.Spec)
	if err := json.Unmarshal(raw, s); err != nil {
		t.Fatal(err)
	}
	s.Root.Readonly, s.Process.Terminal = false, false
	s.Process.Rlimits = nil
	s.Process.Env = []string{"PATH=/bin"}
	return dir, s
}

func open(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open(Options{Root: filepath.Join(t.TempDir(), "state")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// id is unique on the machine: cgroups are named by it.
func id(t testing.TB) string {
	return "oci-test-" + strconv.Itoa(os.Getpid()) + "-" + strings.Map(func(r rune) rune {
		if !ValidID(string(r)) && r != '.' {
			return '-'
		}
		return r
	}, t.Name())
}

// run runs a command in a container, attached, and returns its output.
func run(t testing.TB, r *Runtime, dir string, s *specs.Spec, args ...string) (string, ExitStatus, error) {
	t.Helper()
	s.Process.Args = args
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	ctx := context.Background()
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s, Stdio: [3]*os.File{null, out, out}, Attached: true})
	if err != nil {
		return "", ExitStatus{}, err
	}
	defer func() {
		if err := c.Delete(ctx, true); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Start(ctx); err != nil {
		return "", ExitStatus{}, err
	}
	st, err := c.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text), st, nil
}

// leftovers fails the test if something of the container is still there.
func leftovers(t *testing.T, r *Runtime) {
	t.Helper()
	if e, err := os.ReadDir(r.Root()); err == nil && len(e) > 0 {
		t.Errorf("state remains: %v", e)
	}
	err := filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), id(t)) {
			t.Errorf("cgroup remains: %s", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), t.Name()) {
		t.Error("a mount remains")
	}
}

func TestRun(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	out, st, err := run(t, r, dir, s, "sh", "-c", "echo $$; hostname; id -u; exit 7")
	if err != nil || st.Code() != 7 || out != "1\nrunc\n0\n" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
	leftovers(t, r)
}

func TestRunSignalled(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	_, st, err := run(t, r, dir, s, "sh", "-c", "sh -c 'kill -9 $$'; exit $?")
	if err != nil || st.Code() != 137 {
		t.Errorf("got %v, %v", st, err)
	}
	leftovers(t, r)
}

func TestLifecycle(t *testing.T) {
	dir, s := bundle(t)
	s.Process.Args = []string{"sh", "-c", "echo started > /tmp/started; exec sleep 1000"}
	s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_DAC_OVERRIDE")
	ctx := context.Background()
	r := open(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s, PidFile: pidFile})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Delete(ctx, true) // done again below
	if raw, err := os.ReadFile(pidFile); err != nil || string(raw) != strconv.Itoa(c.Pid()) {
		t.Errorf("pid file: %q, %v", raw, err)
	}
	// All that follows is what another process would see.
	if c, err = r.Load(id(t)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.State(ctx); err != nil || st.Status != specs.StateCreated || st.Pid != c.Pid() || st.Bundle != dir {
		t.Errorf("after create: %+v, %v", st, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "rootfs/tmp/started")); err == nil {
		t.Error("the program ran before its start")
	}
	if _, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s}); !errors.Is(err, ErrExist) {
		t.Errorf("second create: %v", err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if st := c.Status(); st != specs.StateRunning {
		t.Errorf("after start: %s", st)
	}
	if err := c.Start(ctx); !errors.Is(err, ErrNotCreated) {
		t.Errorf("second start: %v", err)
	}
	if err := c.Delete(ctx, false); !errors.Is(err, ErrRunning) {
		t.Errorf("delete of a running container: %v", err)
	}
	if err := c.Kill(ctx, unix.SIGKILL, false); err != nil {
		t.Fatal(err)
	}
	until(t, "it is stopped", func() bool { return c.Status() == specs.StateStopped })
	if err := c.Kill(ctx, unix.SIGTERM, false); !errors.Is(err, ErrNotRunning) {
		t.Errorf("kill of a stopped container: %v", err)
	}
	if err := c.Delete(ctx, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(id(t)); !errors.Is(err, ErrNotExist) {
		t.Errorf("after delete: %v", err)
	}
	leftovers(t, r)
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it takes too long until %s", what)
}

func TestStartOfAMissingProgramNamesIt(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Process.Args = []string{"/tmp/late"}
	late := filepath.Join(dir, "rootfs/tmp/late")
	if err := os.WriteFile(late, []byte("\x7fELF nonsense"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Delete(ctx, true) // checked by leftovers
	if c, err = r.Load(id(t)); err != nil {
		t.Fatal(err)
	}
	err = c.Start(ctx)
	if err == nil || !errors.Is(err, unix.ENOEXEC) || !strings.Contains(err.Error(), `execute the program "/tmp/late"`) || !strings.Contains(err.Error(), "/process/args/0") {
		t.Errorf("got %v", err)
	}
	if err := c.Delete(ctx, true); err != nil {
		t.Error(err)
	}
	leftovers(t, r)
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	_, _, err := run(t, r, dir, s, "nowhere")
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), `find the program "nowhere"`) {
		t.Errorf("got %v", err)
	}
	leftovers(t, r)
}

func TestHooks(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	log := filepath.Join(t.TempDir(), "log")
	inside := "/hooklog"
	hook := func(name, file string) specs.Hook {
		return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + name + " $(readlink /proc/self/ns/uts) $(cat) >> " + file}, Env: []string{"PATH=/bin:/usr/bin"}}
	}
	s.Hooks = &specs.Hooks{
		CreateRuntime:   []specs.Hook{hook("createRuntime", log)},
		CreateContainer: []specs.Hook{hook("createContainer", log)},
		StartContainer:  []specs.Hook{hook("startContainer", inside)},
		Poststart:       []specs.Hook{hook("poststart", log)},
		Poststop:        []specs.Hook{hook("poststop", log)},
	}
	s.Annotations = map[string]string{"a": "b"}
	out, st, err := run(t, r, dir, s, "sh", "-c", "readlink /proc/self/ns/uts; cat "+inside)
	if err != nil || st.Code() != 0 {
		t.Fatal(out, st, err)
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	insideLines := strings.Split(strings.TrimSpace(out), "\n")
	box := insideLines[0]
	lines = append(lines, insideLines[1:]...)
	want := []struct{ name, uts, status, pid string }{
		{"createRuntime", host, "creating", ""},
		{"createContainer", box, "creating", `"pid":1`},
		{"poststart", host, "running", ""},
		{"poststop", host, "stopped", ""},
		{"startContainer", box, "created", `"pid":1`},
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w.name+" "+w.uts+" ") || !strings.Contains(lines[i], w.status) || !strings.Contains(lines[i], w.pid) {
			t.Errorf("got %s, want %v", lines[i], w)
		}
	}
	leftovers(t, r)
}

func TestHookFailureAndTimeout(t *testing.T) {
	one := 1
	for _, tc := range []struct {
		name  string
		hooks func() *specs.Hooks
		want  string
	}{
		{"createRuntime fails", func() *specs.Hooks {
			return &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no luck >&2; exit 3"}}}}
		}, "no luck"},
		{"createContainer fails", func() *specs.Hooks {
			return &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo bad luck >&2; exit 3"}}}}
		}, "bad luck"},
		{"createRuntime hangs", func() *specs.Hooks {
			return &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Timeout: &one}}}
		}, "/hooks/createRuntime/0"},
		{"createContainer hangs", func() *specs.Hooks {
			return &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Timeout: &one}}}
		}, "/hooks/createContainer/0"},
		{"startContainer is missing", func() *specs.Hooks {
			return &specs.Hooks{StartContainer: []specs.Hook{{Path: "/nowhere"}}}
		}, `execute the hook "/nowhere"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, s := bundle(t)
			r := open(t)
			s.Hooks = tc.hooks()
			_, _, err := run(t, r, dir, s, "true")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %s", err, tc.want)
			}
			leftovers(t, r)
		})
	}
}

func TestUserNamespace(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
	for _, p := range []string{dir, filepath.Dir(dir)} { // made for this test, for its user alone
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(filepath.Join(dir, "rootfs"), func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, 100000, 100000)
	}); err != nil {
		t.Fatal(err)
	}
	out, st, err := run(t, r, dir, s, "sh", "-c", "id -u; cat /proc/self/uid_map; ls -l /dev/null | cut -c1; echo $$")
	if err != nil || st.Code() != 0 || strings.Join(strings.Fields(out), " ") != "0 0 100000 65536 c 1" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
	leftovers(t, r)
}

func TestJoinedNamespaces(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	for i := range s.Linux.Namespaces {
		if n := &s.Linux.Namespaces[i]; n.Type != specs.MountNamespace {
			n.Path = "/proc/self/ns/" + map[specs.LinuxNamespaceType]string{
				specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.CgroupNamespace: "cgroup",
			}[n.Type]
		}
	}
	s.Hostname = ""
	out, st, err := run(t, r, dir, s, "sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/net")
	pid, _ := os.Readlink("/proc/self/ns/pid")
	net, _ := os.Readlink("/proc/self/ns/net")
	if err != nil || st.Code() != 0 || out != pid+"\n"+net+"\n" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
	leftovers(t, r)
}

func TestInvalidIDs(t *testing.T) {
	r := open(t)
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", "ä", strings.Repeat("x", 1025), "a\x00"} {
		if _, err := r.Create(context.Background(), CreateOptions{ID: id, Bundle: "/"}); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%q: %v", id, err)
		}
		if _, err := r.Load(id); !errors.Is(err, ErrInvalidID) {
			t.Errorf("load %q: %v", id, err)
		}
	}
}

func TestHostileStateFiles(t *testing.T) {
	r := open(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"id":"x","bundle":"/"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(path string) error{
		"truncated": func(p string) error { return os.WriteFile(p, []byte(`{"id":"x","bund`), 0o600) },
		"empty":     func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"link":      func(p string) error { return os.Symlink(secret, p) },
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"other id": func(p string) error {
			return os.WriteFile(p, []byte(`{"id":"y","bundle":"/","init_process_pid":1}`), 0o600)
		},
		"negative": func(p string) error {
			return os.WriteFile(p, []byte(`{"id":"x","bundle":"/","init_process_pid":-1}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(r.Root(), "x")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := make(filepath.Join(dir, stateFile)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Load("x"); err == nil {
				t.Error("it was read")
			}
			if list, err := r.List(context.Background()); err != nil || len(list) != 0 {
				t.Errorf("list: %v, %v", list, err)
			}
			if err := r.Delete(context.Background(), "x", false); err != nil {
				t.Errorf("delete: %v", err)
			}
			if err := r.Delete(context.Background(), "x", false); !errors.Is(err, ErrNotExist) {
				t.Errorf("second delete: %v", err)
			}
		})
	}
}
