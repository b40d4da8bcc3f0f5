package blackbox_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every command: a hang is a failure that says so, not a test run that ends.
const patience = 60 * time.Second

// sandbox is a store and a state directory of its own, and how the binary is called with them.
type sandbox struct {
	dir, root, state string
	env              []string
	wrap             []string      // a program and its arguments that start the binary
	patience         time.Duration // of the next commands; 0: patience
}

// result is how a command ended. Its status is -1 when it had to be killed.
type result struct {
	args           []string
	status         int
	stdout, stderr string
	took           time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("oci %s: status %d after %v\nstdout: %s\nstderr: %s",
		strings.Join(r.args, " "), r.status, r.took.Round(time.Millisecond), clip(r.stdout), clip(r.stderr))
}

func clip(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "..."
	}
	return s
}

// newSandbox is removed with the test; containers that a test left are deleted first.
func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "t-")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	s := &sandbox{dir: dir, root: filepath.Join(dir, "store"), state: filepath.Join(dir, "state")}
	s.env = append(os.Environ(), "OCI_ROOT="+s.root, "OCI_STATE="+s.state, "NO_COLOR=1")
	t.Cleanup(func() {
		for _, id := range names(s.state) {
			s.run("delete", "--force", id)
		}
		command(t, "chmod", "-R", "u+rwX", dir)
		check(t, os.RemoveAll(dir))
	})
	return s
}

func (s *sandbox) cmd(args ...string) *exec.Cmd {
	argv := append(append(append([]string{}, s.wrap...), oci), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = s.env, s.dir
	return cmd
}

// run calls the binary with no input.
func (s *sandbox) run(args ...string) result { return s.runWith(nil, args...) }

// runWith calls the binary with an input. The outputs are files: a container that lives on does not hold them open.
func (s *sandbox) runWith(stdin io.Reader, args ...string) result {
	r := result{args: args, status: -1}
	cmd := s.cmd(args...)
	cmd.Stdin = stdin
	out, err := os.CreateTemp(scratch, "out-")
	if err != nil {
		r.stderr = err.Error()
		return r
	}
	defer os.Remove(out.Name())
	defer out.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, &stderr, time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		r.stderr = err.Error()
		return r
	}
	timer := time.AfterFunc(cmp.Or(s.patience, patience), func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	timer.Stop()
	r.took = time.Since(start)
	raw, _ := os.ReadFile(out.Name())
	r.stdout, r.stderr = string(raw), stderr.String()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		r.status = cmd.ProcessState.ExitCode()
	case errors.As(err, &exit):
		r.status = exit.ExitCode()
	}
	return r
}

// ok calls the binary, which must succeed, and gives what it wrote to its standard output.
func (s *sandbox) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := s.run(args...)
	if r.status != 0 {
		t.Fatal(r)
	}
	return r.stdout
}

// fails calls the binary, which must end with the status, a message that holds each of the words
// (in any case), and nothing that looks like a crash.
func (s *sandbox) fails(t *testing.T, status int, words []string, args ...string) result {
	t.Helper()
	r := s.run(args...)
	if r.status != status {
		t.Errorf("want status %d: %v", status, r)
	}
	r.speaks(t, words...)
	return r
}

func (r result) speaks(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(strings.ToLower(r.stderr), strings.ToLower(word)) {
			t.Errorf("the message lacks %q: %v", word, r)
		}
	}
	for _, word := range []string{"panic", "goroutine ", "runtime error"} {
		if strings.Contains(r.stderr, word) {
			t.Errorf("the message has %q: %v", word, r)
		}
	}
}

// clean demands that `oci check` finds nothing wrong with the store.
func (s *sandbox) clean(t *testing.T) {
	t.Helper()
	r := s.run("check")
	if r.status != 0 || !strings.Contains(r.stdout+r.stderr, "clean") {
		t.Errorf("the store is not clean: %v", r)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// names lists a directory; a directory that is absent is empty.
func names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var all []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			all = append(all, e.Name())
		}
	}
	return all
}

var tokens atomic.Int64

// token is a word that nothing else on the machine has: the name of a container, or an argument of
// a program in it, by which what a test left can be found.
func token() string { return fmt.Sprintf("bbox%dx%dz", os.Getpid(), tokens.Add(1)) }

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 10 s: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
