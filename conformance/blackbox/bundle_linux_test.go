package blackbox_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// state is what `oci state` prints.
type state struct {
	OCIVersion string `json:"ociVersion"`
	ID         string `json:"id"`
	Status     string `json:"status"`
	Pid        int    `json:"pid"`
	Bundle     string `json:"bundle"`
}

func (s *sandbox) stateOf(t *testing.T, id string) (v state) {
	t.Helper()
	out := s.ok(t, "state", id)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// foreignBundle is a busybox bundle that umoci wrote, or with spec, one with runc's own config.json.
func (s *sandbox) foreignBundle(t *testing.T, spec bool) string {
	t.Helper()
	needTools(t, "umoci", "skopeo", "runc")
	one, dir := filepath.Join(s.dir, "one"), filepath.Join(s.dir, "bundle")
	command(t, "skopeo", "--insecure-policy", "copy", "oci:"+layout(t, "busybox")+":latest", "oci:"+one+":latest")
	command(t, "umoci", "unpack", "--image", one+":latest", dir)
	if spec {
		check(t, os.Remove(filepath.Join(dir, "config.json")))
		command(t, "runc", "spec", "--bundle", dir)
	}
	return dir
}

// edit changes config.json of a bundle.
func edit(t *testing.T, dir string, change func(map[string]any)) {
	t.Helper()
	var c map[string]any
	path := filepath.Join(dir, "config.json")
	readJSON(t, path, &c)
	change(c)
	raw, err := json.Marshal(c)
	check(t, err)
	check(t, os.WriteFile(path, raw, 0o600))
}

func process(c map[string]any) map[string]any { return c["process"].(map[string]any) }

// A bundle of another tool goes through create, start, kill and delete, with the state that the
// runtime-spec's lifecycle has at each point.
func TestForeign_lifecycle(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, spec := range map[string]bool{"umoci unpack": false, "runc spec": true} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			dir, id := s.foreignBundle(t, spec), token()
			edit(t, dir, func(c map[string]any) {
				process(c)["terminal"] = false
				process(c)["args"] = []string{"sh", "-c", "echo started >/started; sleep 1000; exit", id}
				c["root"].(map[string]any)["readonly"] = false
			})
			started := filepath.Join(dir, "rootfs/started")
			pidFile := filepath.Join(s.dir, "pid")
			s.ok(t, "create", "--bundle", dir, "--pid-file", pidFile, id)
			v := s.stateOf(t, id)
			if v.Status != "created" || v.ID != id || v.Bundle != dir || v.Pid <= 0 || v.OCIVersion == "" {
				t.Errorf("after create: %+v", v)
			}
			if raw, err := os.ReadFile(pidFile); err != nil || strings.TrimSpace(string(raw)) != itoa(v.Pid) {
				t.Errorf("the pid file holds %q (%v), want %d", raw, err, v.Pid)
			}
			if _, err := os.Stat(started); err == nil {
				t.Error("create ran the program")
			}
			if r := s.run("create", "--bundle", dir, id); r.status == 0 {
				t.Errorf("a second container of the same id: %v", r)
			}
			s.ok(t, "start", id)
			eventually(t, "the program runs", func() bool { _, err := os.Stat(started); return err == nil })
			if v := s.stateOf(t, id); v.Status != "running" {
				t.Errorf("after start: %+v", v)
			}
			if r := s.run("start", id); r.status == 0 {
				t.Errorf("a second start: %v", r)
			}
			if r := s.run("delete", id); r.status == 0 {
				t.Errorf("delete of a running container: %v", r)
			}
			s.ok(t, "kill", id, "KILL")
			eventually(t, "the container is stopped", func() bool { return s.stateOf(t, id).Status == "stopped" })
			if r := s.run("kill", id, "TERM"); r.status == 0 {
				t.Errorf("kill of a stopped container: %v", r)
			}
			s.ok(t, "delete", id)
			leftovers(t, s, id)
			s.fails(t, 3, []string{"does not exist"}, "state", id)
			s.fails(t, 3, []string{"does not exist"}, "delete", id)
			s.ok(t, "delete", "--force", id)
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// The bundle of `runc spec` runs as it is: its terminal's master comes over the console socket.
func TestForeign_console_socket(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	dir, id := s.foreignBundle(t, true), token()
	socket := filepath.Join(s.dir, "console")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	check(t, err)
	defer l.Close()
	check(t, l.SetDeadline(time.Now().Add(20*time.Second)))
	got := make(chan *os.File, 1)
	go func() {
		defer close(got)
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		name, oob := make([]byte, 4096), make([]byte, 64)
		n, m, _, _, err := conn.ReadMsgUnix(name, oob)
		if err != nil {
			return
		}
		if msgs, err := unix.ParseSocketControlMessage(oob[:m]); err == nil && len(msgs) == 1 {
			if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
				got <- os.NewFile(uintptr(fds[0]), string(name[:n]))
			}
		}
	}()
	if r := s.run("create", "--bundle", dir, token()); r.status == 0 {
		t.Errorf("a terminal without a console socket: %v", r)
	}
	s.ok(t, "create", "--bundle", dir, "--console-socket", socket, id)
	master := <-got
	if master == nil {
		t.Fatal("no terminal came over the console socket")
	}
	defer master.Close()
	s.ok(t, "start", id)
	_, err = master.WriteString("echo is-$((6*7)); exit\n")
	check(t, err)
	var text strings.Builder
	for b := make([]byte, 1024); !strings.Contains(text.String(), "is-42"); {
		n, err := master.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, text.String())
		}
		text.Write(b[:n])
	}
	eventually(t, "the container is stopped", func() bool { return s.stateOf(t, id).Status == "stopped" })
	s.ok(t, "delete", id)
	leftovers(t, s, id)
}

// A foreign bundle runs in the foreground too.
func TestForeign_run(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	dir, id := s.foreignBundle(t, false), token()
	edit(t, dir, func(c map[string]any) {
		process(c)["terminal"], process(c)["args"] = false, []string{"sh", "-c", "echo from-$((40+2)); exit 5"}
	})
	r := s.run("run", "--bundle", dir, id)
	if r.status != 5 || r.stdout != "from-42\n" {
		t.Error(r)
	}
	leftovers(t, s, id)
	if out := s.ok(t, "plan", "--bundle", dir); !strings.Contains(out, "mount") || !strings.Contains(out, "exec") {
		t.Errorf("plan prints %s", clip(out))
	}
}

// runc and crun run unchanged what `oci bundle` writes, and see what our own runtime sees.
func TestBundle_runs_elsewhere(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, image := range []string{"busybox", "debian", "python-bare"} {
		t.Run(image, func(t *testing.T) {
			s := newSandbox(t)
			ref, dir := upstream.image(t, image), filepath.Join(s.dir, "bundle")
			s.ok(t, "pull", ref)
			s.ok(t, "bundle", ref, dir, "sh", "-c", `id; pwd; echo $PATH; grep -E '^(Cap|Seccomp:|NoNew)' /proc/self/status; cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | head -c 1 | wc -c; ls /dev | grep -v '^core$' | sort | tr '\n' ' '; exit 6`)
			config, err := os.ReadFile(filepath.Join(dir, "config.json"))
			check(t, err)
			ours := s.run("run", "--bundle", dir, token())
			if ours.status != 6 || !strings.Contains(ours.stdout, "uid=") {
				t.Error(ours)
			}
			for _, runtime := range []string{"runc", "crun"} {
				if _, err := exec.LookPath(runtime); err != nil {
					t.Logf("%s is absent", runtime)
					continue
				}
				out, status := foreignRun(t, s, runtime, dir)
				if status != 6 || out != ours.stdout {
					t.Errorf("%s: status %d\n%s\nour own: status %d\n%s", runtime, status, out, ours.status, ours.stdout)
				}
			}
			if now, err := os.ReadFile(filepath.Join(dir, "config.json")); err != nil || string(now) != string(config) {
				t.Errorf("a run changed config.json: %v", err)
			}
		})
	}
}

// foreignRun runs a bundle with another runtime, where a hybrid cgroup tree shows its version 1 part
// alone (Debian's crun refuses the two together).
func foreignRun(t *testing.T, s *sandbox, runtime, bundle string) (string, int) {
	t.Helper()
	script := `if [ -d /sys/fs/cgroup/unified ]; then mount -t tmpfs none /sys/fs/cgroup/unified; fi; exec "$@"`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, "sh", runtime, "--root", filepath.Join(s.dir, runtime), "run", "--bundle", bundle, token())
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
