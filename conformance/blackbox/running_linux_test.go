package blackbox_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is a command in the background, with all that it wrote so far.
type running struct {
	cmd  *exec.Cmd
	done chan error
	mu   sync.Mutex
	buf  bytes.Buffer
}

// Write collects output.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// start runs the command in the background; it is killed with the test at the latest.
func start(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: cmd, done: make(chan error, 1)}
	if cmd.Stdout == nil {
		cmd.Stdout = r
	}
	if cmd.Stderr == nil {
		cmd.Stderr = r
	}
	cmd.WaitDelay = time.Second
	check(t, cmd.Start())
	go func() { r.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return r
}

// waitFor waits until the output holds the word.
func (r *running) waitFor(t *testing.T, word string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !strings.Contains(r.text(), word); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q: no %q in %q", r.cmd.Args, word, r.text())
		}
	}
}

// status waits for the end.
func (r *running) status(t *testing.T) int {
	t.Helper()
	select {
	case err := <-r.done:
		var exit *exec.ExitError
		switch {
		case err == nil, errors.Is(err, exec.ErrWaitDelay):
			return r.cmd.ProcessState.ExitCode()
		case errors.As(err, &exit):
			return exit.ExitCode()
		}
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		_ = r.cmd.Process.Kill()
		t.Fatalf("%q does not end; its output so far: %s", r.cmd.Args, r.text())
	}
	return -1
}

// leftovers demands that nothing of the container id is left: no process, no cgroup, no mount, no
// state and no directory in the store.
func leftovers(t *testing.T, s *sandbox, id string) {
	t.Helper()
	for _, what := range remains(s, id) {
		t.Errorf("container %s left %s", id, what)
	}
}

// remains lists what there is of a container.
func remains(s *sandbox, id string) []string {
	var all []string
	for _, pid := range processes(id) {
		all = append(all, "the process "+pid)
	}
	for _, dir := range cgroups(id) {
		all = append(all, "the cgroup "+dir)
	}
	for _, m := range mounts(s.dir) {
		all = append(all, "the mount "+m)
	}
	for _, dir := range []string{s.state, filepath.Join(s.root, "containers")} {
		if _, err := os.Lstat(filepath.Join(dir, id)); err == nil {
			all = append(all, filepath.Join(dir, id))
		}
	}
	return all
}

// processes finds those that have the word in an argument, except the binary itself.
func processes(word string) []string {
	var pids []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(raw, []byte(word)) || bytes.HasPrefix(raw, []byte(oci)) {
			continue
		}
		pids = append(pids, strings.Split(file, "/")[2]+" "+strings.ReplaceAll(string(raw), "\x00", " "))
	}
	return pids
}

// cgroups finds the control groups that have the word in their name.
func cgroups(word string) []string {
	var dirs []string
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() && strings.Contains(e.Name(), word) {
				dirs = append(dirs, filepath.Join(dir, e.Name()))
			} else if e.IsDir() && depth > 0 {
				walk(filepath.Join(dir, e.Name()), depth-1)
			}
		}
	}
	walk("/sys/fs/cgroup", 4)
	return dirs
}

// mounts finds the mount points below a directory, in the mount namespace of the tests.
func mounts(dir string) []string {
	raw, _ := os.ReadFile("/proc/self/mountinfo")
	var points []string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir) {
			points = append(points, f[4])
		}
	}
	return points
}
