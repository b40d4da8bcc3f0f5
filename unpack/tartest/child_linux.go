package tartest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// envChild names the directory in which a child works, and tells it that it is one.
const envChild = "OCI_TEST_CHILD"

// ChildDir gives the directory of a test that RunChild runs; one that it does not run is skipped.
func ChildDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(envChild)
	if dir == "" {
		t.Skip("another test runs it, as another user")
	}
	return dir
}

// RunChild runs a test of the test binary again, as attr says, in a directory that belongs to owner, which it gives:
// the test must pass. Where there are no user namespaces, the test that calls is skipped.
func RunChild(t *testing.T, name string, owner int, attr *syscall.SysProcAttr) string {
	t.Helper()
	base := t.TempDir()
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	exe := filepath.Join(base, "test")
	raw, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(exe, raw, 0o755)
	}
	if err == nil && os.Getenv(envChild) == "" {
		err = os.Chown(base, owner, owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+name+"$", "-test.v")
	cmd.Dir, cmd.SysProcAttr = base, attr
	cmd.Env = append(os.Environ(), envChild+"="+base, "TMPDIR="+base)
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && strings.Contains(err.Error(), "operation not permitted"):
		t.Skipf("no user namespaces here: %v", err)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+name):
		t.Fatalf("%v\n%s", err, out)
	}
	return base
}

// Userns is a new user namespace with the ids from first on.
func Userns(first, size int) *syscall.SysProcAttr {
	m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: size}}
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, Credential: &syscall.Credential{NoSetGroups: size == 1}, UidMappings: m, GidMappings: m,
	}
}
