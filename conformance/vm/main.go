package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// guest runs in the machine: it prints "ok CHECK", "not ok CHECK -- WHY" or "skip CHECK -- WHY", a line each.
//
//go:embed guest.sh
var guest []byte

// machine is a set-up: a virtual machine, or with no cgroup, this machine.
type machine struct {
	name, cgroup, user string
	hide               bool // this machine, with the version 2 part of a hybrid tree hidden
}

func machines() []machine {
	return []machine{
		{"v2", "v2", "root", false},
		{"rootless", "v2", "tester", false},
		{"hybrid", "hybrid", "root", false},
		{"v1", "v1", "root", false},
		{"host", "", "root", false},
		{"host-v1", "", "root", true},
	}
}

// options are the flags.
type options struct{ oci, only, runtime, images, vmlab string }

// errSkip is a machine that cannot be had here.
var errSkip = errors.New("skipped")

func main() {
	var o options
	flag.StringVar(&o.oci, "oci", "bin/oci", "the binary to test")
	flag.StringVar(&o.only, "only", "", "comma-separated part of: v2,hybrid,v1,rootless")
	flag.StringVar(&o.runtime, "runtime", "", "run the checks on this program of the guest instead")
	flag.StringVar(&o.images, "images", os.Getenv("OCI_TEST_IMAGES"), "directory of OCI layouts, for the runs of an image")
	flag.StringVar(&o.vmlab, "vmlab", os.Getenv("VMLAB"), "directory of vm-run")
	flag.Parse()
	failed, err := run(context.Background(), o)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (failed int, err error) {
	if o.vmlab == "" {
		o.vmlab = "../shared/vmlab"
	}
	vmRun, err := filepath.Abs(filepath.Join(o.vmlab, "vm-run"))
	if err != nil {
		return 0, err
	}
	noMachine := available(vmRun)
	share, err := os.MkdirTemp("", "oci-vm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(share)
	if err := o.fill(share); err != nil {
		return 0, err
	}
	t := &table{}
	var broken error
	for _, m := range machines() {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+m.name+",") {
			continue
		}
		if m.cgroup != "" && noMachine != nil {
			t.none(m.name, noMachine)
			continue
		}
		out, err := m.boot(ctx, vmRun, share, o.runtime)
		switch {
		case errors.Is(err, errSkip):
			t.none(m.name, err)
			continue
		case err != nil:
			broken = errors.Join(broken, err)
		}
		t.add(m.name, out)
	}
	t.print()
	return t.failed, broken
}

// available says why there are no machines.
func available(vmRun string) error {
	cache := os.Getenv("VMLAB_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		cache = filepath.Join(home, ".cache/vmlab")
	}
	switch {
	case os.Geteuid() != 0:
		return fmt.Errorf("%w: needs root", errSkip)
	case missing(vmRun):
		return fmt.Errorf("%w: there is no vm-run: set VMLAB to its directory", errSkip)
	case missing(filepath.Join(cache, "disk.ext4")):
		return fmt.Errorf("%w: there is no disk image in VMLAB_CACHE: run vm-build once", errSkip)
	}
	return nil
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return err != nil
}

// fill puts what the guest needs into the directory that it sees.
func (o options) fill(share string) error {
	if err := os.Chmod(share, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(share, "guest.sh"), guest, 0o644); err != nil {
		return err
	}
	if o.runtime == "" {
		raw, err := os.ReadFile(o.oci)
		if err != nil {
			return fmt.Errorf("no binary: %w (make build)", err)
		}
		if err := os.WriteFile(filepath.Join(share, "oci"), raw, 0o755); err != nil {
			return err
		}
	}
	busybox := filepath.Join(o.images, "busybox")
	if o.images == "" || missing(busybox) {
		return nil
	}
	return os.CopyFS(filepath.Join(share, "busybox"), os.DirFS(busybox))
}

// boot runs the checks in one machine. A guest kernel that cannot run on this processor is errSkip.
func (m machine) boot(ctx context.Context, vmRun, share, runtime string) (string, error) {
	seen := "/conformance"
	if m.cgroup == "" {
		seen = share
	}
	program := runtime
	if program == "" {
		program = seen + "/oci"
	}
	checks := []string{"/bin/bash", seen + "/guest.sh", program, seen}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, vmRun, append([]string{
		"--cgroup", m.cgroup, "--user", m.user, "--timeout", "240", "--verbose",
		"--share", share + ":/conformance", "--",
	}, checks...)...)
	if m.cgroup == "" {
		script := `exec "$@"`
		if m.hide {
			script = `[ -d /sys/fs/cgroup/unified ] && mount -t tmpfs none /sys/fs/cgroup/unified; exec "$@"`
		}
		cmd = exec.CommandContext(ctx, "unshare", append([]string{"-m", "sh", "-c", script, "sh"}, checks...)...)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // vm-run then cleans up
	stderr := &console{cancel: cancel}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, stderr, 5*time.Second
	err := cmd.Run()
	text := stderr.said.String()
	switch {
	case m.cgroup != "" && strings.Contains(text, panicked):
		return "", fmt.Errorf("%w: the guest's kernel does not run on this processor: %s", errSkip, lineBefore(text, panicked))
	case err != nil || !strings.Contains(out.String(), "\ndone\n"):
		err = fmt.Errorf("the machine %s did not finish: %v\n%s", m.name, err, text[max(0, len(text)-4000):])
		return out.String(), err
	}
	return out.String(), nil
}

// panicked is what a Linux kernel says last.
const panicked = "Kernel panic"

// console keeps what a machine says, and ends a machine whose kernel has panicked.
type console struct {
	said   bytes.Buffer
	cancel func()
}

// Write looks for the panic.
func (c *console) Write(b []byte) (int, error) {
	n, err := c.said.Write(b)
	if bytes.Contains(c.said.Bytes(), []byte(panicked)) {
		c.cancel()
	}
	return n, err
}

// lineBefore is the line before the first one with the word: what led to it.
func lineBefore(text, word string) string {
	before, _, _ := strings.Cut(text, word)
	lines := strings.Split(strings.TrimRight(before, "\r\n"), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
