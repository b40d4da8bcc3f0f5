package launch

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// busyboxRoot makes a root file system of one static program.
func busyboxRoot(t testing.TB) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making namespaces with mounts needs root")
	}
	bin, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("/bin/busybox (Debian: busybox-static) is not installed")
	}
	dir := t.TempDir()
	for _, d := range []string{"bin", "proc", "sys", "dev", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/busybox"), bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{"sh", "true", "id", "ls", "cat", "echo", "readlink", "hostname", "sleep", "stat", "mount"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin", l)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func basicSpec(args ...string) *specs.Spec {
	return &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "box",
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/sbin:/bin"}, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Effective: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/proc/none"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// result is what a plan did.
type result struct {
	out    string
	status unix.WaitStatus
	err    error
}

// execute compiles and runs a configuration to its end.
func execute(t testing.TB, dir string, s *specs.Spec) result {
	t.Helper()
	var out, report, sync [2]int
	for _, p := range []*[2]int{&out, &report, &sync} {
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p[0])
	}
	defer unix.Close(sync[1])
	pl, err := plan.Compile(plan.Input{
		Spec: s, Bundle: dir,
		Host: plan.Host{LastCap: 40, Held: 1<<41 - 1, Kind: func(p string) (plan.FileKind, error) {
			st, err := os.Stat(p)
			if err == nil && st.IsDir() {
				return plan.Directory, nil
			}
			return plan.NotDirectory, err
		}},
		FDs: plan.FDs{Report: 3, Sync: 4, Start: 4, Console: -1, Root: -1},
	})
	if err != nil {
		unix.Close(out[1])
		unix.Close(report[1])
		return result{err: err}
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := Start(Request{Plan: pl, Files: []uintptr{null.Fd(), uintptr(out[1]), uintptr(out[1]), uintptr(report[1]), uintptr(sync[0])}, Report: report[0], CgroupFD: -1})
	unix.Close(out[1])
	unix.Close(report[1])
	if err != nil {
		return result{err: err}
	}
	defer p.Close()
	if pl.MapIDs {
		if err := p.Await(t.Context(), plan.PointMapped); err != nil {
			return result{err: err}
		}
		t.Fatal("no maps here")
	}
	err = p.Await(t.Context(), plan.PointReady)
	if err == nil {
		unix.Write(sync[1], []byte{1, 1})
		err = p.AwaitProgram(t.Context())
	}
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, rerr := unix.Read(out[0], buf)
		if n <= 0 || rerr != nil {
			break
		}
		text.Write(buf[:n])
	}
	ws, werr := p.Wait()
	if werr != nil {
		t.Fatal(werr)
	}
	return result{text.String(), ws, err}
}

func TestPlanRunsAProgram(t *testing.T) {
	dir := busyboxRoot(t)
	r := execute(t, dir, basicSpec("sh", "-c", "id; hostname; echo $$; ls /proc/self/fd; ls /dev; readlink /proc/self/exe; cat /proc/keys; ls /sys/firmware; exit 42"))
	if r.err != nil || r.status.ExitStatus() != 42 {
		t.Fatalf("err %v, status %v, output:\n%s", r.err, r.status, r.out)
	}
	want := "uid=0 gid=0\nbox\n1\n0\n1\n2\n3\ncore\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n/bin/busybox\n"
	if r.out != want {
		t.Errorf("got:\n%s\nwant:\n%s", r.out, want)
	}
}

func TestFailingStepNamesItselfAndThePointer(t *testing.T) {
	dir := busyboxRoot(t)
	for _, tc := range []struct {
		name    string
		change  func(*specs.Spec)
		errno   unix.Errno
		pointer string
		text    string
	}{
		{"missing program", func(s *specs.Spec) { s.Process.Args[0] = "nowhere" }, unix.ENOENT, "/process/args/0", `find the program "nowhere"`},
		{"program is a directory", func(s *specs.Spec) { s.Process.Args[0] = "/bin" }, unix.EISDIR, "/process/args/0", `find the program "/bin"`},
		{"bad mount option", func(s *specs.Spec) { s.Mounts[2].Options = []string{"nonsense=1"} }, unix.EINVAL, "/mounts/2", "set nonsense=1 on devpts"},
		{"unknown file system", func(s *specs.Spec) { s.Mounts[4].Type = "nofs" }, unix.ENODEV, "/mounts/4", "open a nofs file system"},
		{"CVE-2024-21626 cwd", func(s *specs.Spec) { s.Process.Cwd = "/proc/self/fd/3" }, unix.ENOTDIR, "/process/cwd", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := basicSpec("true")
			tc.change(s)
			r := execute(t, dir, s)
			var f *Failure
			if !errors.As(r.err, &f) {
				t.Fatalf("got %v, want a failure", r.err)
			}
			if tc.text != "" && (f.Errno != tc.errno || !strings.HasPrefix(f.Name, tc.text)) || f.Pointer != tc.pointer {
				b, _ := json.Marshal(f)
				t.Errorf("got %s (%s)", f, b)
			}
		})
	}
}

func BenchmarkRunTrue(b *testing.B) {
	dir := busyboxRoot(b)
	s := basicSpec("true")
	for b.Loop() {
		if r := execute(b, dir, s); r.err != nil || r.status != 0 {
			b.Fatal(r.err, r.status)
		}
	}
}

// BenchmarkStart is the price of the executor alone: encode, seal, start, exit, reap.
func BenchmarkStart(b *testing.B) {
	p := &plan.Plan{Steps: []plan.Step{exit7}, Slots: 1, FDs: plan.FDs{Report: 2}}
	for b.Loop() {
		proc, err := Start(Request{Plan: p, Files: []uintptr{0, 1, 2}, CgroupFD: -1})
		if err != nil {
			b.Fatal(err)
		}
		if ws, err := proc.Wait(); err != nil || ws.ExitStatus() != 7 {
			b.Fatal(ws, err)
		}
		proc.Close()
	}
}

// BenchmarkForkExec is the same with a program on disk, the smallest that is everywhere: what any start of a process costs.
func BenchmarkForkExec(b *testing.B) {
	for b.Loop() {
		pid, err := syscall.ForkExec("/bin/busybox", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		if err != nil {
			b.Skip(err)
		}
		if _, err := wait4(pid); err != nil {
			b.Fatal(err)
		}
	}
}
