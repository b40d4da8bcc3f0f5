package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCopyBrokenOff ends `oci run --storage copy` while it copies: Ctrl-C leaves nothing, and what a kill
// leaves is no container to anybody, goes by `oci rm`, and by a prune once it is old.
func TestCopyBrokenOff(t *testing.T) {
	layout := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "debian")
	if _, err := os.Stat(layout); err != nil || os.Getenv("OCI_TEST_IMAGES") == "" {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	if os.Geteuid() != 0 {
		t.Skip("unpacks as root")
	}
	home := t.TempDir()
	dir := filepath.Join(home, "store", "containers", "broken-off")
	oci := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary(t), args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"), "OCI_STATE="+filepath.Join(home, "state"))
		return cmd
	}
	must := func(args ...string) string {
		out, err := oci(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return string(out)
	}
	must("run", "-q", "--rm", "oci:"+layout, "true") // the layers are there from now on
	broken := func(sig unix.Signal) int {
		cmd := oci("run", "--name", "broken-off", "--storage", "copy", "oci:"+layout, "true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if names, err := os.ReadDir(filepath.Join(dir, rootfsDir)); err == nil && len(names) > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no copy begins")
			}
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("it was not ended in time: %v", err)
		}
		return exit.ExitCode()
	}
	gone := func(after string) {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("after %s: %v", after, err)
		}
	}
	if status := broken(unix.SIGINT); status != statusInterrupted {
		t.Errorf("status %d", status)
	}
	gone("an interrupt")
	broken(unix.SIGKILL)
	if out := must("ps", "-aq"); out != "" {
		t.Errorf("ps: %q", out)
	}
	must("prune")
	if _, err := os.Lstat(dir); err != nil {
		t.Errorf("a prune takes what may be in the making: %v", err)
	}
	must("rm", "broken-off")
	gone("rm")
	broken(unix.SIGKILL)
	old := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	must("prune")
	gone("a prune")
	must("run", "-q", "--rm", "--storage", "copy", "oci:"+layout, "true")
}
