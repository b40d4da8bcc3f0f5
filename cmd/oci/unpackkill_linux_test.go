package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestUnpack_broken_off kills the real program, and interrupts it, while it unpacks: nothing is there under
// the name of the target, and the same command then does its work as if nothing had been.
func TestUnpack_broken_off(t *testing.T) {
	layout := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "debian")
	if _, err := os.Stat(layout); err != nil || os.Getenv("OCI_TEST_IMAGES") == "" {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	if os.Geteuid() != 0 {
		t.Skip("unpacks as root")
	}
	w := &workplace{home: t.TempDir(), image: "oci:" + layout}
	w.want = w.unpacked(t, "whole")
	for _, verb := range []string{"unpack", "bundle", "run"} {
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
			t.Run(verb+" "+signal.String(), func(t *testing.T) { w.breakOff(t, verb, signal) })
		}
	}
}

// workplace is a home directory with an image in its store.
type workplace struct {
	home, image string
	want        map[string]tartest.Node
}

func (w *workplace) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(binary(t), args...)
	cmd.Env = append(os.Environ(), "HOME="+w.home, "OCI_ROOT="+filepath.Join(w.home, "store"), "OCI_STATE="+filepath.Join(w.home, "state"))
	return cmd
}

func (w *workplace) unpacked(t *testing.T, name string) map[string]tartest.Node {
	t.Helper()
	dir := filepath.Join(w.home, name)
	if out, err := w.command(t, "unpack", "-q", w.image, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	nodes, err := tartest.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func (w *workplace) breakOff(t *testing.T, verb string, signal syscall.Signal) {
	target := filepath.Join(w.home, "target")
	args := []string{verb, "-q", w.image, target}
	watch := filepath.Join(w.home, ".target.partial")
	if verb == "run" {
		args = []string{verb, "-q", "--rm", w.image, "true"}
		watch = filepath.Join(w.home, "store", "layers", "staging")
	}
	for round := range 3 {
		cmd := w.command(t, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		busy := waitFor(watch, 1+round*200)
		if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if !busy && err == nil {
			t.Fatalf("it had ended before it was seen at work: %s", out.String())
		}
		if signal == syscall.SIGINT && cmd.ProcessState.ExitCode() != statusInterrupted {
			t.Errorf("%v: %s", err, out.String())
		}
		if _, err := os.Lstat(target); err == nil {
			t.Error("the target is there")
		}
		if n := filesBelow(watch); signal == syscall.SIGINT && n > 0 {
			t.Errorf("%d files are left in %s", n, watch)
		}
		if layers, _ := filepath.Glob(filepath.Join(w.home, "store", "layers", "sha256", "*")); len(layers) > 0 {
			t.Errorf("published: %v", layers)
		}
	}
	if verb == "run" {
		if out, err := w.command(t, "check").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if out, err := w.command(t, "prune").CombinedOutput(); err != nil || filesBelow(watch) > 0 {
			t.Errorf("%v: %s: %d files are left", err, out, filesBelow(watch))
		}
		return
	}
	nodes := w.unpacked(t, "target")
	if diff := tartest.Diff(nodes, w.want); len(diff) > 0 {
		t.Errorf("after it: %d differences, %s", len(diff), diff[0])
	}
	if left, _ := filepath.Glob(filepath.Join(w.home, ".*partial*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := removePartial(target); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until there are so many files below a directory.
func waitFor(dir string, files int) bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Microsecond) {
		if filesBelow(dir) >= files {
			return true
		}
	}
	return false
}

func filesBelow(dir string) int {
	n := 0
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != dir {
			n++
		}
		return nil
	})
	return n
}

// TestUnpack_blob_damaged: a layer that is no longer what it was leaves nothing, in each verb.
func TestUnpack_blob_damaged(t *testing.T) {
	layout := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "python")
	if _, err := os.Stat(layout); err != nil || os.Getenv("OCI_TEST_IMAGES") == "" {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	if os.Geteuid() != 0 {
		t.Skip("unpacks as root")
	}
	w := &workplace{home: t.TempDir(), image: "store:it"}
	if out, err := w.command(t, "copy", "-q", "oci:"+layout, "store:it").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	blobs, err := filepath.Glob(filepath.Join(w.home, "store", "blobs", "sha256", "*"))
	if err != nil || len(blobs) < 5 {
		t.Fatal(blobs, err)
	}
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	slices.SortFunc(blobs, func(a, b string) int { return cmp.Compare(size(b), size(a)) })
	damage(t, blobs[2]) // one layer of several
	target := filepath.Join(w.home, "target")
	for _, args := range [][]string{{"unpack", "it", target}, {"bundle", "it", target}, {"run", "--rm", "it", "true"}} {
		cmd := w.command(t, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != statusUnverified || !strings.Contains(string(out), "(layer ") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		if _, err := os.Lstat(target); err == nil {
			t.Errorf("%v: the target is there", args)
		}
		if n := filesBelow(filepath.Join(w.home, "store", "layers", "staging")); n > 0 {
			t.Errorf("%v: %d files are left", args, n)
		}
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, raw, 0o600)); err != nil {
		t.Fatal(fmt.Errorf("damage %s: %w", path, err))
	}
}
