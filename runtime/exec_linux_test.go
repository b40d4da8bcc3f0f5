package runtime

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// sleeper is a running container.
func sleeper(t *testing.T, r *Runtime) *Container {
	t.Helper()
	dir, s := bundle(t)
	s.Process.Args = []string{"sleep", "1000"}
	ctx := context.Background()
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(ctx, true); err != nil {
			t.Error(err)
		}
		leftovers(t, r)
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExec(t *testing.T) {
	r := open(t)
	c := sleeper(t, r)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := c.Exec(context.Background(), ExecOptions{
		Process: &specs.Process{
			Args: []string{"sh", "-c", "hostname; id -u; cat /proc/1/cmdline; echo; grep CapEff /proc/self/status; ls /proc/self/fd; readlink /proc/self/exe; exit 5"},
			Env:  []string{"PATH=/bin"}, Cwd: "/tmp", User: specs.User{UID: 12, GID: 34},
		},
		Stdio: [3]*os.File{nil, out, out},
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := p.Wait()
	raw, _ := os.ReadFile(out.Name())
	want := "runc\n12\nsleep\x001000\x00\nCapEff:\t0000000000000000\n0\n1\n2\n3\n/bin/busybox\n"
	if err != nil || st.Code() != 5 || string(raw) != want {
		t.Errorf("got %q, %v, %v, want %q", raw, st, err, want)
	}
}

func TestExecTerminal(t *testing.T) {
	r := open(t)
	c := sleeper(t, r)
	p, err := c.Exec(context.Background(), ExecOptions{Process: &specs.Process{
		Args: []string{"sh", "-c", "tty; stty size"}, Env: []string{"PATH=/bin"}, Cwd: "/", Terminal: true,
		ConsoleSize: &specs.Box{Height: 33, Width: 77},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Console().Close()
	raw, _ := io.ReadAll(p.Console()) // ends with EIO when the other side is closed
	if st, err := p.Wait(); err != nil || st.Code() != 0 {
		t.Error(st, err)
	}
	if got := strings.ReplaceAll(string(raw), "\r", ""); got != "/dev/pts/0\n33 77\n" {
		t.Errorf("got %q", got)
	}
}

func TestExecFailures(t *testing.T) {
	r := open(t)
	c := sleeper(t, r)
	ctx := context.Background()
	_, err := c.Exec(ctx, ExecOptions{Process: &specs.Process{Args: []string{"nowhere"}, Env: []string{"PATH=/bin"}, Cwd: "/"}})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), `find the program "nowhere"`) {
		t.Errorf("missing program: %v", err)
	}
	for _, cwd := range []string{"/proc/self/fd/3", "/proc/self/fd/5", "/proc/self/fd/7"} {
		_, err := c.Exec(ctx, ExecOptions{Process: &specs.Process{Args: []string{"true"}, Env: []string{"PATH=/bin"}, Cwd: cwd}})
		if err == nil {
			t.Errorf("CVE-2024-21626: a process ran in %s", cwd)
		}
	}
	if err := c.Kill(ctx, unix.SIGKILL, false); err != nil {
		t.Fatal(err)
	}
	until(t, "it is stopped", func() bool { return c.Status() == specs.StateStopped })
	if _, err := c.Exec(ctx, ExecOptions{Process: &specs.Process{Args: []string{"true"}, Cwd: "/"}}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stopped container: %v", err)
	}
}
