package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// private says in the environment that the test is in a mount namespace of its own.
const private = "OCI_TEST_PRIVATE"

// TestHost_kernelMounts is TestHost_kernel for what the mounts of a machine decide, in a mount namespace of its own.
func TestHost_kernelMounts(t *testing.T) {
	test, tmp := again(t)
	cmd := exec.Command(test, "-test.run=^TestHost_mounted$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, private+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // which makes all mounts private first
	passes(t, cmd)
}

// TestHost_mounted is the part in the mount namespace.
func TestHost_mounted(t *testing.T) {
	if os.Getenv(private) == "" {
		t.Skip("TestHost_kernelMounts runs it")
	}
	full := func(t *testing.T, deeds []deed, refused, fine int, prepare func(t *testing.T, g *ground)) {
		t.Helper()
		g := newGround(t)
		runtimes := g.runtimes(t)
		prepare(t, g)
		if r, f := g.judge(t, runtimes, deeds); r != refused || f != fine {
			t.Errorf("%d refused and %d fine, want %d and %d", r, f, refused, fine)
		}
	}
	const clears = "clears the flags of the mount that the root directory is on"
	t.Run("root without exec", func(t *testing.T) {
		full(t, []deed{{name: "base", change: nothing, crun: clears}}, 1, 0, func(t *testing.T, g *ground) { remount(t, g, unix.MS_NOEXEC) })
	})
	t.Run("root read-only", func(t *testing.T) {
		tmpfs := func(at string) func(*specs.Spec) {
			return mounted(specs.Mount{Type: "tmpfs", Source: "x", Destination: at})
		}
		full(t, []deed{
			{name: "place", change: tmpfs("/data")},
			{name: "no place", change: tmpfs("/missing"), crun: clears},
			{name: "no place for a file", change: bound("file", "/etc/missing"), crun: clears},
		}, 2, 1,
			func(t *testing.T, g *ground) { remount(t, g, unix.MS_RDONLY) })
	})
	t.Run("proc covered", func(t *testing.T) {
		full(t, []deed{{name: "base", change: nothing}, {name: "user namespace", change: mapped(65536, nothing)}}, 1, 1,
			func(t *testing.T, _ *ground) { mountOn(t, "tmpfs", "/proc/tty") })
	})
	t.Run("cgroup2 alone", func(t *testing.T) { cgroup2Alone(t) })
}

// remount binds the root directory to itself with a flag.
func remount(t *testing.T, g *ground, flag uintptr) {
	t.Helper()
	root := filepath.Join(g.dir, "rootfs")
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmount(t, root) })
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|flag, ""); err != nil {
		t.Fatal(err)
	}
}

func mountOn(t *testing.T, kind, at string) {
	t.Helper()
	if err := unix.Mount(kind, at, kind, 0, ""); err != nil {
		t.Skipf("mount %s at %s: %v", kind, at, err)
	}
	t.Cleanup(func() { unmount(t, at) })
}

func unmount(t *testing.T, at string) {
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
		t.Errorf("unmount %s: %v", at, err)
	}
}

// cgroup2Alone covers the hierarchies of v1, so that what they have not is seen to be all there is.
func cgroup2Alone(t *testing.T) {
	g := newGround(t)
	mountOn(t, "cgroup2", "/sys/fs/cgroup")
	sample := "/sys/fs/cgroup/host-test-sample-" + strconv.Itoa(os.Getpid()) // without a group below the top, the files of one are not known
	if err := os.Mkdir(sample, 0o755); err != nil {
		t.Skipf("no group can be made: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(sample); err != nil {
			t.Error(err)
		}
	})
	size := func(n string) func(*specs.Spec) {
		return limits(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: n, Limit: 1 << 30}}})
	}
	deeds := []deed{
		{name: "base", change: nothing},
		{name: "huge pages", change: size("2MB")},
		{name: "huge pages of no size", change: size("8MB")},
		{name: "memory", change: limits(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}})},
		{name: "tasks", change: limits(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(100))}})},
		{name: "shares", change: limits(specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(512))}})},
		{name: "processor", change: limits(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}})},
		{name: "swappiness", change: limits(specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(10))}}), own: true},
		{name: "class of packets", change: limits(specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1))}}), own: true},
		{name: "file", change: limits(specs.LinuxResources{Unified: map[string]string{"hugetlb.2MB.max": "1073741824"}})},
		{name: "file of the group", change: limits(specs.LinuxResources{Unified: map[string]string{"cgroup.max.depth": "5"}})},
		{name: "file that is not there", change: limits(specs.LinuxResources{Unified: map[string]string{"cgroup.nothing": "5"}})},
		{name: "file of no controller", change: limits(specs.LinuxResources{Unified: map[string]string{"nothing.max": "5"}})},
	}
	g.judge(t, g.runtimes(t), deeds)
}
