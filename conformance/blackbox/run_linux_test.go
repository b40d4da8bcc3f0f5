package blackbox_test

import (
	"encoding/json"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The main job: an image from a registry, run, and its output.
func TestRun_42(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, image := range []string{"python-bare", "python-zstd-bare", "python-plain-bare"} {
		t.Run(image, func(t *testing.T) {
			s := newSandbox(t)
			ref := upstream.image(t, image)
			s.ok(t, "pull", ref)
			if out := s.ok(t, "run", "--rm", ref, "python3", "-c", "print(6*7)"); out != "42\n" {
				t.Errorf("stdout is %q", out)
			}
			s.clean(t)
		})
	}
}

// An image that is not in the store is pulled first.
func TestRun_pulls(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	if out := s.ok(t, "run", "--rm", upstream.image(t, "busybox"), "echo", "hello"); out != "hello\n" {
		t.Errorf("stdout is %q", out)
	}
}

// seen is what the program in the container found.
type seen struct {
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Groups []int             `json:"groups"`
	Cwd    string            `json:"cwd"`
	Argv   []string          `json:"argv"`
	Env    map[string]string `json:"env"`
}

const look = `import json, os, sys; print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "groups": sorted(os.getgroups()),
	"cwd": os.getcwd(), "argv": sys.argv[1:], "env": dict(os.environ)}))`

func (s *sandbox) look(t *testing.T, args ...string) (v seen) {
	t.Helper()
	out := s.ok(t, append([]string{"run", "--rm"}, args...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// User, Env, WorkingDir, Entrypoint and Cmd of the image are honoured.
func TestRun_image_config(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "python")
	bare := upstream.image(t, "python-bare")

	if v := s.look(t, ref); !slices.Equal(v.Argv, []string{"hello"}) {
		t.Errorf("entrypoint and cmd: argv is %q", v.Argv)
	}
	if v := s.look(t, ref, "a", "b c"); !slices.Equal(v.Argv, []string{"a", "b c"}) {
		t.Errorf("a command replaces cmd and keeps the entrypoint: argv is %q", v.Argv)
	}
	v := s.look(t, bare, "python3", "-c", look)
	if v.UID != 1000 || v.GID != 1000 || v.Cwd != "/app" {
		t.Errorf("user app:app, working directory /app: got %+v", v)
	}
	if slices.ContainsFunc(v.Groups, func(g int) bool { return g != 1000 }) {
		t.Errorf("a user with a group has no supplementary groups (config.md, User): got %v", v.Groups)
	}
	for name, want := range map[string]string{"WITH_EQUALS": "a=b=c", "EMPTY": "", "PYTHONUNBUFFERED": "1", "HOME": "/home/app"} {
		if got, ok := v.Env[name]; !ok || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, ok, want)
		}
	}
	if v.Env["PATH"] == "" {
		t.Error("no PATH")
	}
	v = s.look(t, "--user", "app", "--workdir", "/opt", "--env", "EMPTY=no", "--env", "NEW=1", bare, "python3", "-c", look)
	if v.UID != 1000 || !slices.Contains(v.Groups, 2000) || v.Cwd != "/opt" || v.Env["EMPTY"] != "no" || v.Env["NEW"] != "1" {
		t.Errorf("overrides: got %+v", v)
	}
	if v = s.look(t, "--user", "12:34", bare, "python3", "-c", look); v.UID != 12 || v.GID != 34 {
		t.Errorf("numeric user: got %+v", v)
	}
}

// The exit status is the program's own, 128+n for signal n, and 125, 126 and 127 as other engines have them.
func TestRun_exit_status(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	for _, c := range []struct {
		status int
		words  []string
		args   []string
	}{
		{0, nil, []string{"true"}},
		{1, nil, []string{"false"}},
		{7, nil, []string{"sh", "-c", "exit 7"}},
		{255, nil, []string{"sh", "-c", "exit 255"}},
		{127, []string{"no-such-program"}, []string{"no-such-program"}},
		{127, []string{"/no/such"}, []string{"/no/such"}},
		{126, []string{"/etc/passwd", "permission denied"}, []string{"/etc/passwd"}},
		{126, []string{"/etc"}, []string{"/etc"}},
		{126, []string{"/tmp"}, []string{"/tmp"}},
	} {
		s.fails(t, c.status, c.words, append([]string{"run", "--rm", ref}, c.args...)...)
	}
	s.fails(t, 2, []string{"no-such-flag"}, "run", "--no-such-flag", ref)
	s.fails(t, 2, nil, "run")
	if r := s.run("run", "--rm", "oci:"+s.dir+"/absent:latest", "true"); r.status != 125 && r.status != 3 {
		t.Errorf("an image that does not exist: %v", r)
	}
	for _, dir := range []string{"state", "store/containers"} {
		if got := names(s.dir + "/" + dir); len(got) != 0 {
			t.Errorf("%s holds %q", dir, got)
		}
	}
}

// inside runs a script in busybox.
func (s *sandbox) inside(t *testing.T, script string, flags ...string) string {
	t.Helper()
	args := append(append([]string{"run", "--rm"}, flags...), upstream.image(t, "busybox"), "sh", "-c", script)
	return strings.TrimSpace(s.ok(t, args...))
}

// The defaults are Docker's: namespaces, capabilities, seccomp, masked and read-only paths, devices.
func TestRun_defaults(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	for _, c := range [][2]string{
		{"echo $$", "1"},
		{"grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb"},
		{"grep CapBnd /proc/self/status", "CapBnd:\t00000000a80425fb"},
		{"grep CapInh /proc/self/status", "CapInh:\t0000000000000000"},
		{"grep CapAmb /proc/self/status", "CapAmb:\t0000000000000000"},
		{"grep Seccomp: /proc/self/status", "Seccomp:\t2"},
		{"ls /proc/self/fd | wc -l", "4"}, // three and the directory itself
		{"ls -A /sys/firmware | wc -l", "0"},
		{"cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c", "0"},
		{"touch /proc/sys/kernel/hostname 2>/dev/null; echo x 2>/dev/null >/proc/sys/kernel/core_pattern || echo denied", "denied"},
		{"(echo x >/proc/sysrq-trigger) 2>/dev/null || echo denied", "denied"},
		{"mkdir /sys/fs/cgroup/x 2>/dev/null || mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo denied", "denied"},
		{"mount -t tmpfs x /mnt 2>/dev/null || mount -t tmpfs x /tmp 2>/dev/null || echo denied", "denied"},
		{"mknod /tmp/sda b 8 0 && (head -c1 /tmp/sda) 2>/dev/null || echo denied", "denied"},
		{"for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; echo x >/dev/null && echo ok", "ok"},
		{"for l in fd stdin stdout stderr; do readlink /dev/$l; done | tr '\\n' ' '", "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"},
		{"grep -c . /proc/net/dev", "3"}, // two lines of header, and lo
		{"stat -f -c %T /dev/shm", "tmpfs"},
		{"[ -c /dev/ptmx ] && [ -c /dev/pts/ptmx ] && echo ok", "ok"},
		{"touch /new && rm /new /etc/passwd && ls /etc/passwd 2>&1 || true", "ls: /etc/passwd: No such file or directory"},
		{"id -u", "0"},
		{"pwd", "/"},
		{"umask", "0022"},
	} {
		if got := s.inside(t, c[0]); got != c[1] {
			t.Errorf("%s: got %q, want %q", c[0], got, c[1])
		}
	}
	if got := s.inside(t, "cat /etc/passwd"); !strings.Contains(got, "root:") {
		t.Errorf("a container changed the image: /etc/passwd is %q", got)
	}
}

// Every namespace of the default set is the container's own.
func TestRun_namespaces(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	for _, ns := range []string{"mnt", "pid", "ipc", "uts", "net", "cgroup"} {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		check(t, err)
		if got := s.inside(t, "readlink /proc/self/ns/"+ns); got == host || !strings.HasPrefix(got, ns+":") {
			t.Errorf("%s: %s inside, %s outside", ns, got, host)
		}
	}
	if a, b := s.inside(t, "hostname"), s.inside(t, "hostname"); a == "" || a == b {
		t.Errorf("host names %q and %q", a, b)
	}
	if got := s.inside(t, "hostname", "--hostname", "box"); got != "box" {
		t.Errorf("--hostname box gives %q", got)
	}
}

// The standard input reaches the program with -i only, and both outputs stay apart.
func TestRun_streams(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	if r := s.runWith(strings.NewReader("typed\n"), "run", "--rm", "-i", ref, "cat"); r.status != 0 || r.stdout != "typed\n" {
		t.Error(r)
	}
	if r := s.runWith(strings.NewReader("typed\n"), "run", "--rm", ref, "cat"); r.status != 0 || r.stdout != "" {
		t.Errorf("without -i: %v", r)
	}
	if r := s.run("run", "--rm", ref, "sh", "-c", "echo out; echo err >&2"); r.stdout != "out\n" || r.stderr != "err\n" {
		t.Error(r)
	}
	r := s.run("run", "--rm", ref, "sh", "-c", "yes 0123456789abcde | head -n 100000")
	if len(r.stdout) != 1600000 {
		t.Errorf("%d bytes of output, want 1600000", len(r.stdout))
	}
}

// Signals reach the program, which decides; a signal that ends it gives 128+n.
func TestRun_signals(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		if signal.Ignored(sig) {
			t.Logf("%v is ignored here, as under nohup(1), and so in every program started from here: not tried", sig)
			continue
		}
		n := strconv.Itoa(int(sig))
		id := token()
		cmd := s.cmd("run", "--rm", "--name", id, ref, "sh", "-c", "trap 'exit 4"+n+"' "+n+"; echo ready; while :; do sleep 0.05; done")
		r := start(t, cmd)
		r.waitFor(t, "ready")
		check(t, cmd.Process.Signal(sig))
		want := (40 + int(sig)) & 0xff
		if sig >= 10 {
			want = (400 + int(sig)) & 0xff
		}
		if got := r.status(t); got != want {
			t.Errorf("signal %v: status %d, want %d\n%s", sig, got, want, r.text())
		}
		leftovers(t, s, id)
	}
	id := token()
	cmd := s.cmd("run", "--rm", "--name", id, ref, "sh", "-c", "echo ready; sleep 100; exit", id)
	r := start(t, cmd)
	r.waitFor(t, "ready")
	s.ok(t, "kill", id, "KILL")
	if got := r.status(t); got != 137 {
		t.Errorf("killed by signal 9: status %d, want 137", got)
	}
	leftovers(t, s, id)
}
