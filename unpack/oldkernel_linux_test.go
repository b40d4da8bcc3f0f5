package unpack_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// again are the tests that other tests run again, that are about none of this package's system calls, or that
// take long and have a subtest for the walk without openat2 themselves.
const again = "^TestOldKernel|^TestRootlessChild$|^TestReal|many_times$|^TestMutants$|single_id_umoci$|^TestH10_(renamer|mounter)$"

// TestOldKernel runs all tests again on a kernel that lacks system calls: openat2 alone, as behind the
// filter of an older container engine, and then all that is newer than Linux 4.18.
func TestOldKernel(t *testing.T) {
	needRoot(t)
	t.Run("without openat2", func(t *testing.T) {
		tartest.Suite(t, "Hazard|H10|H43|H46|IS_|Root|Target", again, 12, tartest.Refusal{Call: unix.SYS_OPENAT2, Errno: unix.ENOSYS})
	})
	t.Run("openat2 forbidden", func(t *testing.T) {
		tartest.Suite(t, "Hazard|H10", again, 3, tartest.Refusal{Call: unix.SYS_OPENAT2, Errno: unix.EPERM})
	})
	t.Run("4.18", func(t *testing.T) {
		tartest.Suite(t, ".", again+"|_full$|^TestRootOf$|^TestSpace", 30, tartest.OldKernel()...)
	})
	t.Run("without nameless files", func(t *testing.T) {
		tartest.Suite(t, "Hazard|IS_C5", again, 3, tartest.NoTmpfile())
	})
}

// TestOldKernel_filter: what is refused is refused, and nothing else.
func TestOldKernel_filter(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to make system calls with")
	}
	program := `
import ctypes, os
def call(*args):
    r = ctypes.CDLL(None, use_errno=True).syscall(*args)
    return ctypes.get_errno() if r < 0 else 0
print(call(437, -1, b".", None, 0), call(452, -100, b".", 0o755, 0), call(257, -100, b"/tmp", 0o20200001, 0o600), call(257, -100, b"/", 0), call(39))
`
	cmd := exec.Command(python, "-c", program)
	var out strings.Builder
	cmd.Stdout = &out
	err = tartest.RunWithout(cmd, append(tartest.OldKernel(), tartest.NoTmpfile())...)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || out.String() != "38 38 95 0 0\n" {
		t.Errorf("%v: %q", err, out.String())
	}
}
