package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The host's binary cannot be reached from a container: what is at /proc/self/exe before the program runs is a sealed throw-away file.
func TestCVE2019_5736_hostBinaryIsOutOfReach(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/evil"), []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"/proc/self/exe"}, {"/bin/evil"}, {"/proc/self/exe", "sh"}} {
		out, st, err := run(t, r, dir, s, args...)
		if err == nil && st.Code() == 0 {
			t.Errorf("%v: it ran something: %q", args, out)
		}
		leftovers(t, r)
	}
	after, err := os.Stat(self)
	if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("this program's file changed: %v, %v", after, err)
	}
}

func TestSmallLimits(t *testing.T) {
	one := int64(1)
	mib := int64(1 << 20)
	for name, res := range map[string]*specs.LinuxResources{
		"pids.limit=1":      {Pids: &specs.LinuxPids{Limit: &one}},
		"memory.limit=1MiB": {Memory: &specs.LinuxMemory{Limit: &mib}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := bundle(t)
			r := open(t)
			s.Linux.Resources = res
			out, st, err := run(t, r, dir, s, "echo", "hello")
			if err != nil || st.Code() != 0 || out != "hello\n" {
				t.Errorf("got %q, %v, %v", out, st, err)
			}
			leftovers(t, r)
		})
	}
}

func TestPidsLimitHolds(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	three := int64(3)
	s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &three}}
	out, _, err := run(t, r, dir, s, "sh", "-c", "for i in 1 2 3 4 5; do sleep 1 & done; wait; echo $i")
	if err != nil || !strings.Contains(out, "can't fork") && !strings.Contains(out, "Resource temporarily unavailable") {
		t.Errorf("got %q, %v", out, err)
	}
	leftovers(t, r)
}

func TestDescriptorsInside(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	var pipes []*os.File // noise: descriptors that are open here
	for range 20 {
		a, b, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		pipes = append(pipes, a, b)
	}
	defer func() {
		for _, f := range pipes {
			f.Close()
		}
	}()
	out, _, err := run(t, r, dir, s, "sh", "-c", "ls /proc/$$/fd; true")
	if err != nil || out != "0\n1\n2\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestWaitingContainerIsSmall(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Process.Args = []string{"true"}
	ctx := context.Background()
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Delete(ctx, true) // checked by leftovers
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int
			if _, err := fmt.Sscan(v, &kib); err != nil || kib > 1024 {
				t.Errorf("a waiting container has %s", strings.TrimSpace(line))
			}
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, fd := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", c.Pid(), fd.Name()))
		if n := fd.Name(); n != "0" && n != "1" && n != "2" {
			open = append(open, filepath.Base(to))
		}
	}
	if got := strings.Join(open, " "); len(open) != 3 || !strings.Contains(got, reportFIFO) || !strings.Contains(got, startFIFO) || !strings.Contains(got, "pipe:") {
		t.Errorf("a waiting container has open: %s", got)
	}
}

// Masked files are covered by the host's null device, whatever the image calls /dev/null, and links of the image lead nowhere outside.
func TestCVE2025_31133_and_2026_41579(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	outside := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	for _, l := range []struct{ to, at string }{
		{outside, "dev2"}, {outside, "dev/pts"}, {outside + "/null", "dev/null"}, {"../../../../tmp", "mnt"},
	} {
		if err := os.Symlink(l.to, filepath.Join(root, l.at)); err != nil {
			t.Fatal(err)
		}
	}
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/mnt/deep/er", Type: "tmpfs", Source: "tmpfs"})
	out, st, err := run(t, r, dir, s, "sh", "-c", "ls -l /dev/null | cut -c1; cat /proc/keys | wc -c; grep deep /proc/mounts | wc -l")
	if err != nil || st.Code() != 0 || strings.Join(strings.Fields(out), " ") != "c 0 1" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
	if e, err := os.ReadDir(outside); err != nil || len(e) != 0 {
		t.Errorf("something was made outside: %v, %v", e, err)
	}
	// And with the image's own /dev, which is a link to the host.
	if err := os.RemoveAll(filepath.Join(root, "dev")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "dev")); err != nil {
		t.Fatal(err)
	}
	_, _, err = run(t, r, dir, s, "true")
	if e, rerr := os.ReadDir(outside); rerr != nil || len(e) != 0 {
		t.Errorf("with /dev as a link (%v), something was made outside: %v, %v", err, e, rerr)
	}
	leftovers(t, r)
}

// /proc and /sys of an image must be directories (CVE-2019-19921, CVE-2023-27561).
func TestCVE2019_19921_procIsALink(t *testing.T) {
	for _, n := range []string{"proc", "sys"} {
		t.Run(n, func(t *testing.T) {
			dir, s := bundle(t)
			r := open(t)
			at := filepath.Join(dir, "rootfs", n)
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/tmp", at); err != nil {
				t.Fatal(err)
			}
			_, _, err := run(t, r, dir, s, "true")
			if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "/mounts/") {
				t.Errorf("got %v", err)
			}
			leftovers(t, r)
		})
	}
}

func TestCapabilitiesAndUser(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 6}}
	s.Process.NoNewPrivileges = false
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}}
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"sethostname"}, Action: specs.ActErrno}}}
	out, _, err := run(t, r, dir, s, "sh", "-c", "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
	want := "Uid: 1000 1000 1000 1000 Gid: 1001 1001 1001 1001 Groups: 5 6 CapInh: 0000000000000000 CapPrm: 0000000000000000 " +
		"CapEff: 0000000000000000 CapBnd: 0000000000000021 CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2"
	if got := strings.Join(strings.Fields(out), " "); err != nil || got != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

func TestTerminal(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Process.Terminal = true
	s.Process.ConsoleSize = &specs.Box{Height: 11, Width: 99}
	s.Process.Args = []string{"sh", "-c", "tty; stty size; ls -l /dev/console | cut -c1; echo $(readlink /proc/self/fd/0)"}
	ctx := context.Background()
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s, Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Delete(ctx, true) // below
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	raw, _ := io.ReadAll(c.Console()) // EIO at its end
	if _, err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	c.Console().Close()
	if got := strings.ReplaceAll(string(raw), "\r", ""); got != "/dev/pts/0\n11 99\nc\n/dev/pts/0\n" {
		t.Errorf("got %q", got)
	}
}
