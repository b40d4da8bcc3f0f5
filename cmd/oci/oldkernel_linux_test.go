package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestOldKernel unpacks a real image with the real program where system calls are refused, merged and layer
// by layer for a container, and compares the trees with those that it makes where they are not.
func TestOldKernel(t *testing.T) {
	layout := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "debian")
	if _, err := os.Stat(layout); err != nil || os.Getenv("OCI_TEST_IMAGES") == "" {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	if os.Geteuid() != 0 {
		t.Skip("unpacks as root")
	}
	want := unpackWithout(t, layout)
	for name, refusals := range map[string][]tartest.Refusal{
		"Linux 4.18": tartest.OldKernel(),
		"a filter, and a poor file system": {
			{Call: unix.SYS_OPENAT2, Errno: unix.EPERM}, {Call: unix.SYS_FCHMODAT2, Errno: unix.ENOSYS}, tartest.NoTmpfile(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := unpackWithout(t, layout, refusals...)
			for _, what := range []string{"merged", "layers"} {
				if len(want[what]) < 100 {
					t.Errorf("%s: %d files to compare with", what, len(want[what]))
				}
				for i, line := range tartest.Diff(got[what], want[what]) {
					if i < 10 {
						t.Errorf("%s: %s", what, line)
					}
				}
			}
		})
	}
}

// unpackWithout gives the trees that `oci unpack` and the unpacking of `oci run` make. Whether a container
// then starts does not matter here.
func unpackWithout(t *testing.T, layout string, refusals ...tartest.Refusal) map[string]map[string]tartest.Node {
	t.Helper()
	home := t.TempDir()
	run := func(args ...string) (string, error) {
		cmd := exec.Command(binary(t), args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"), "OCI_STATE="+filepath.Join(home, "state"))
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		err := tartest.RunWithout(cmd, refusals...)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skipf("no filter for this architecture: %v", err)
		}
		return out.String(), err
	}
	merged := filepath.Join(home, "merged")
	if out, err := run("unpack", "-q", "oci:"+layout, merged); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run("run", "--rm", "oci:"+layout, "true"); err != nil {
		t.Logf("run: %v: %s", err, out)
	}
	trees := map[string]map[string]tartest.Node{}
	for what, dir := range map[string]string{"merged": merged, "layers": filepath.Join(home, "store", "layers", "sha256")} {
		nodes, err := tartest.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		for path, n := range nodes {
			if what == "layers" && (!strings.Contains(path, "/fs/") || strings.HasSuffix(path, "/fs")) {
				delete(nodes, path) // the store's own: their times are those of now
			} else if n.Type == "dir" {
				n.Link = ""
			}
		}
		trees[what] = nodes
	}
	return trees
}
