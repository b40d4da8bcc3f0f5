package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestPreservedDescriptorsMustBeTheCallers(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Process.Args = []string{"true"}
	_, err := r.Create(context.Background(), CreateOptions{ID: id(t), Bundle: dir, Spec: s, Attached: true, PreserveFDs: 40})
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "descriptor") {
		t.Errorf("got %v", err)
	}
	leftovers(t, r)
}

func TestWorkingDirectoryOfRoot(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	if err := os.Mkdir(filepath.Join(dir, "rootfs/priv"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Process.Cwd, s.Process.User.UID = "/priv", 1000
	out, st, err := run(t, r, dir, s, "sh", "-c", "id -u; pwd")
	if err != nil || st.Code() != 0 || out != "1000\n/priv\n" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
}

func TestMountPointIsADanglingLink(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	root := filepath.Join(dir, "rootfs")
	source := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(source, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for at, to := range map[string]string{"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf", "var": "/none/ve", "abs": "../../../../abs-target"} {
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/etc/resolv.conf", Type: "bind", Source: source, Options: []string{"bind", "ro"}},
		specs.Mount{Destination: "/var/lib/x", Type: "tmpfs", Source: "tmpfs"},
		specs.Mount{Destination: "/abs/y", Type: "tmpfs", Source: "tmpfs"})
	out, st, err := run(t, r, dir, s, "sh", "-c", "cat /etc/resolv.conf; grep -c -E '/none/ve/lib/x|/abs-target/y' /proc/mounts")
	if err != nil || st.Code() != 0 || out != "nameserver 192.0.2.1\n2\n" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
}

// What a createRuntime hook allows (as NVIDIA's does) stays allowed.
func TestHooksAddToDeviceRules(t *testing.T) {
	list, err := os.ReadFile("/sys/fs/cgroup/devices/devices.list")
	if err != nil {
		t.Skip("no cgroup v1 devices controller here")
	}
	_ = list
	dir, s := bundle(t)
	r := open(t)
	s.Linux.CgroupsPath = "/" + id(t)
	s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{
		Path: "/bin/sh", Args: []string{"sh", "-c", "echo 'c 195:0 rw' > /sys/fs/cgroup/devices/" + id(t) + "/devices.allow"},
	}}}
	out, st, err := run(t, r, dir, s, "sh", "-c", "cat /sys/fs/cgroup/devices/devices.list")
	if err != nil || st.Code() != 0 || !strings.Contains(out, "c 195:0 rw") || strings.Contains(out, "a *:* rwm") {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
}

func TestMappedRootReachesSourcesBelowPrivateDirectories(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
	// The bundle itself is below a directory that only root may enter.
	if err := os.Chmod(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(filepath.Join(dir, "rootfs"), func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, 100000, 100000)
	}); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "private")
	if err := os.MkdirAll(filepath.Join(private, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(private, "data/file"), []byte("seen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(private, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Type: "bind", Source: filepath.Join(private, "data"), Options: []string{"rbind", "ro"}})
	out, st, err := run(t, r, dir, s, "sh", "-c", "cat /data/file; touch /data/x 2>/dev/null || echo ro; mount -o remount,rw,bind /data 2>/dev/null && touch /data/x; ls /")
	if err != nil || st.Code() != 0 || !strings.HasPrefix(out, "seen\nro\n") || !strings.Contains(out, "bin") {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
	if _, err := os.Stat(filepath.Join(private, "data/x")); err == nil {
		t.Error("the container wrote to a read-only mount")
	}
	leftovers(t, r)
}

func TestManyMounts(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 256, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()
	source := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(source, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: fmt.Sprintf("/m/%d/f", i), Type: "bind", Source: source, Options: []string{"bind"}})
	}
	out, st, err := run(t, r, dir, s, "sh", "-c", "grep -c ' /m/' /proc/mounts")
	if err != nil || st.Code() != 0 || out != "1000\n" {
		t.Errorf("got %q, %v, %v", out, st, err)
	}
}

func TestUmask(t *testing.T) {
	mask := uint32(0o027)
	for name, change := range map[string]func(*specs.Spec){
		"own /dev": func(*specs.Spec) {},
		"bound /dev": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts[:1:1], specs.Mount{Destination: "/dev", Type: "bind", Source: "/dev", Options: []string{"rbind"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := bundle(t)
			r := open(t)
			s.Process.User.Umask = &mask
			change(s)
			out, st, err := run(t, r, dir, s, "sh", "-c", "umask")
			if err != nil || st.Code() != 0 || out != "0027\n" {
				t.Errorf("got %q, %v, %v", out, st, err)
			}
		})
	}
}

// With rootfsPropagation shared, a mount that the container makes below a shared bind is seen outside (config-linux.md, Rootfs Mount Propagation).
func TestBidirectionalPropagation(t *testing.T) {
	if os.Getenv("OCI_TEST_PROPAGATION") == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("unshare", "-m", "--propagation", "private", self, "-test.run", "^TestBidirectionalPropagation$", "-test.v")
		cmd.Env = append(os.Environ(), "OCI_TEST_PROPAGATION=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir, s := bundle(t)
	r := open(t)
	share := t.TempDir()
	if err := unix.Mount("tmpfs", share, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(share, unix.MNT_DETACH)
	if err := unix.Mount("", share, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(share, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Linux.RootfsPropagation = "rshared"
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/share", Type: "bind", Source: share, Options: []string{"rbind", "rshared"}})
	s.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_SYS_ADMIN"}, Permitted: []string{"CAP_SYS_ADMIN"}, Effective: []string{"CAP_SYS_ADMIN"},
	}
	before := mountCount(t, dir)
	out, st, err := run(t, r, dir, s, "sh", "-c", "mount -t tmpfs inner /share/sub && echo ok")
	if err != nil || st.Code() != 0 || out != "ok\n" {
		t.Fatalf("got %q, %v, %v", out, st, err)
	}
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil || !strings.Contains(string(raw), "inner "+share+"/sub tmpfs") {
		t.Errorf("the container's mount is not seen outside: %v\n%s", err, raw)
	}
	if after := mountCount(t, dir); after != before {
		t.Errorf("mounts of the container's root are seen outside: %d, before %d", after, before)
	}
}

func mountCount(t *testing.T, dir string) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(raw), dir)
}

// Operations that meet: each ends, and none loses a container.
func TestDeleteMeetsCreate(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	ctx := context.Background()
	s.Process.Args = []string{"sleep", "1000"}
	s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "0.5"}}}}
	created := make(chan error, 1)
	go func() {
		_, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
		created <- err
	}()
	until(t, "the id is taken", func() bool { _, err := os.Stat(filepath.Join(r.Root(), id(t))); return err == nil })
	time.Sleep(100 * time.Millisecond)
	if c, err := r.Load(id(t)); err == nil && c.Status() != specs.StateCreating {
		t.Errorf("while it is created, it is %s", c.Status())
	}
	if err := r.Delete(ctx, id(t), false); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := <-created; err != nil {
		t.Errorf("create: %v", err)
	}
	leftovers(t, r)
}

func TestDeleteForceEndsAStoppedStart(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	ctx := context.Background()
	s.Process.Args = []string{"sleep", "1000"}
	c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(c.Pid(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if err := c.Start(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start of a stopped process: %v", err)
	}
	if err := r.Delete(ctx, id(t), true); err != nil {
		t.Errorf("delete: %v", err)
	}
	leftovers(t, r)
}

func TestDeleteForceOfAFrozenContainer(t *testing.T) {
	r := open(t)
	c := sleeper(t, r)
	m := c.manager()
	if err := m.Freeze(); err != nil {
		t.Skip("no freezer here: ", err)
	}
	until(t, "it is frozen", func() bool { f, err := m.Frozen(); return err == nil && f })
	// The clean-up of sleeper deletes it by force, and checks what is left.
}

func TestProgramErrors(t *testing.T) {
	dir, s := bundle(t)
	r := open(t)
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/plain"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for arg, kind := range map[string]error{"nowhere": ErrNoProgram, "/nowhere": ErrNoProgram, "/bin": ErrProgram, "/bin/plain": ErrProgram, "plain": ErrProgram} {
		if _, _, err := run(t, r, dir, s, arg); !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", arg, err, kind)
		}
	}
}

// A creation that was killed before its process was recorded.
func TestDeleteOfAnUnfinishedCreation(t *testing.T) {
	for _, force := range []bool{false, true} {
		dir, s := bundle(t)
		r := open(t)
		ctx := context.Background()
		s.Process.Args = []string{"true"}
		c, err := r.Create(ctx, CreateOptions{ID: id(t), Bundle: dir, Spec: s})
		if err != nil {
			t.Fatal(err)
		}
		rec := c.state
		rec.Pid, rec.PidStart = 0, 0
		if err := writeRecord(c.dir, &rec); err != nil {
			t.Fatal(err)
		}
		if c, err = r.Load(id(t)); err != nil {
			t.Fatal(err)
		}
		if s := c.Status(); s != specs.StateStopped {
			t.Errorf("it is %s", s)
		}
		if err := c.Kill(ctx, unix.SIGTERM, false); !errors.Is(err, ErrNotRunning) {
			t.Errorf("kill: %v", err)
		}
		if err := r.Delete(ctx, id(t), force); err != nil {
			t.Errorf("delete, force %v: %v", force, err)
		}
		leftovers(t, r)
	}
}
