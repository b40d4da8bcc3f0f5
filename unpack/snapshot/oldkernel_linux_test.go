package snapshot_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestOldKernel runs all tests again where there is no openat2, as behind the filter of an older container
// engine.
func TestOldKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("layers are unpacked as root here")
	}
	tartest.Suite(t, ".", "^TestOldKernel|^TestReal|^TestMountMany$|looked_up_once$", 10, tartest.Refusal{Call: unix.SYS_OPENAT2, Errno: unix.ENOSYS})
}
