package blackbox_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// entered marks the process that is already in the private mount namespace.
const entered = "OCI_BLACKBOX_ENTERED"

var (
	oci     string // the binary under test
	scratch string // for what all tests share; readable by everyone
)

func TestMain(m *testing.M) {
	if err := enter(); err != nil {
		fmt.Fprintln(os.Stderr, "blackbox:", err)
		os.Exit(1)
	}
	os.Exit(runAll(m))
}

// enter re-executes the tests in a mount namespace of their own, as root.
func enter() error {
	if os.Geteuid() != 0 || os.Getenv(entered) != "" {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return nil // the tests that count mounts then see other people's too
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{"unshare", "-m", "--", self}, os.Args[1:]...)
	return syscall.Exec(unshare, argv, append(os.Environ(), entered+"=1"))
}

func runAll(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "oci-blackbox-"); err == nil {
		defer os.RemoveAll(scratch)
		err = os.Chmod(scratch, 0o755)
	}
	if err == nil {
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "blackbox:", err)
		return 1
	}
	defer upstream.stop()
	return m.Run()
}

// build makes the binary as `make build` does.
func build() error {
	if oci = os.Getenv("OCI_TEST_BINARY"); oci != "" {
		var err error
		oci, err = filepath.Abs(oci)
		return err
	}
	oci = filepath.Join(scratch, "oci")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", oci, "../../cmd/oci")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
}

// layout is the directory of a test image.
func layout(t *testing.T, name string) string {
	t.Helper()
	images := os.Getenv("OCI_TEST_IMAGES")
	if images == "" {
		t.Skip("needs images: OCI_TEST_IMAGES is not set (make images)")
	}
	dir := filepath.Join(images, name)
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		t.Skipf("needs the image %s: %v", name, err)
	}
	return dir
}

// command runs another program and gives its output; the test ends when it fails.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
