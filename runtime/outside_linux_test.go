package runtime

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withUserns gives the container a user namespace, and hands it the files of the bundle.
func withUserns(t *testing.T, dir string, s *specs.Spec) {
	t.Helper()
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	for p := dir; len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-hR", "100000:100000", filepath.Join(dir, "rootfs")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// sources makes directories to mount, whose file belongs to 3:4.
func sources(t *testing.T, dir string) string {
	t.Helper()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{data, filepath.Join(data, "f")} {
		if err := errors.Join(os.Lchown(p, 3, 4), os.Chmod(p, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// TestRSMT1_idmappedMounts: a source is shown with the ids of the maps, with and without a user namespace; a source relative to
// the bundle too; and read-only holds.
func TestRSMT1_idmappedMounts(t *testing.T) {
	other := []specs.LinuxIDMapping{{ContainerID: 3, HostID: 7000, Size: 1}, {ContainerID: 4, HostID: 7001, Size: 1}}
	inside := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	for _, tt := range []struct {
		name       string
		userns     bool
		mount      specs.Mount
		want, made string // owner of the file in the container; owner on disk of one that the container makes
	}{
		{"maps of the mount", false, specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: other, GIDMappings: other}, "7000:7001", ""},
		{"maps of the container", true, specs.Mount{Options: []string{"rbind", "idmap"}}, "3:4", "0:0"},
		{"maps of the mount in a user namespace", true, specs.Mount{Options: []string{"rbind", "ridmap"}, UIDMappings: inside, GIDMappings: inside}, "3:4", "0:0"},
		{"no map", true, specs.Mount{Options: []string{"rbind"}}, "65534:65534", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, s := bundle(t)
			data := sources(t, dir)
			if tt.userns {
				withUserns(t, dir, s)
			}
			tt.mount.Destination, tt.mount.Source, tt.mount.Type = "/data", "data", "none"
			s.Mounts = append(s.Mounts, tt.mount)
			r := open(t)
			out, _, err := run(t, r, dir, s, "/bin/sh", "-c", "stat -c %u:%g /data/f; echo >/data/new")
			if err != nil && strings.Contains(err.Error(), "map the ids") {
				t.Skip(err) // a file system without idmapped mounts
			}
			if err != nil || strings.Fields(out)[0] != tt.want {
				t.Fatalf("%q, %v, want %s", out, err, tt.want)
			}
			if tt.made != "" {
				var st unix.Stat_t
				if err := unix.Stat(filepath.Join(data, "new"), &st); err != nil || st.Uid != 0 || st.Gid != 0 {
					t.Errorf("what root of the container made belongs to %d:%d on disk (%v), want %s", st.Uid, st.Gid, err, tt.made)
				}
			}
			leftovers(t, r)
		})
	}
}

// TestRSMT3_recursiveReadOnly: rro reaches the mounts below a source, ro does not.
func TestRSMT3_recursiveReadOnly(t *testing.T) {
	dir, s := bundle(t)
	inner := filepath.Join(sources(t, dir), "inner")
	if err := os.Mkdir(inner, 0o777); err != nil {
		t.Fatal(err)
	}
	// Below one of the container's own mounts, so that this machine's are left alone.
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"},
		specs.Mount{Destination: "/a", Type: "bind", Source: "data", Options: []string{"rbind", "ro"}},
		specs.Mount{Destination: "/a/inner", Type: "tmpfs", Source: "tmpfs"},
		specs.Mount{Destination: "/a/inner", Options: []string{"bind", "remount", "ro", "noexec"}},
		specs.Mount{Destination: "/proc-too", Type: "none", Source: "/proc", Options: []string{"rbind", "rro", "rnosuid"}},
	)
	out, _, err := run(t, open(t), dir, s, "/bin/sh", "-c",
		"touch /a/x; touch /a/inner/x; grep -E ' /a/inner ' /proc/mounts; grep -E ' /proc-too' /proc/mounts | grep -cv ' ro,nosuid'")
	if err != nil || !strings.HasSuffix(out, "0\n") || strings.Count(out, "Read-only file system") != 2 || !strings.Contains(out, "ro,noexec") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestCVE201916884_links: no link of the image leads a mount into /proc, not even one to a /proc that is made first; who names a place
// in /proc gets it.
func TestCVE201916884_links(t *testing.T) {
	for _, tt := range []struct{ link, to, destination, why string }{
		{"x", "proc", "/x", "a link leads it into /proc"},
		{"x", "/proc", "/x/sys", "a link leads it into /proc"},
		{"x", "../../proc/self", "/x/attr", "a link leads it into /proc"},
		{"x", "tmp", "/x", ""},
		{"x", "tmp", "/proc/fs", ""},
	} {
		for _, kind := range []string{"bind", "tmpfs"} {
			dir, s := bundle(t)
			if err := errors.Join(os.Remove(filepath.Join(dir, "rootfs/proc")), os.Symlink(tt.to, filepath.Join(dir, "rootfs", tt.link))); err != nil {
				t.Fatal(err)
			}
			m := specs.Mount{Destination: tt.destination, Type: kind, Source: "tmpfs"}
			if kind == "bind" {
				m.Source, m.Options = sources(t, dir), []string{"bind"}
			}
			s.Mounts = append(s.Mounts, m)
			_, _, err := run(t, open(t), dir, s, "/bin/true")
			if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%s at %s, %s -> %s: %v", kind, tt.destination, tt.link, tt.to, err)
			}
		}
	}
}

// TestTmpCopyUp: a tmpfs begins with the files that it covers, and what is written there stays there.
func TestTmpCopyUp(t *testing.T) {
	dir, s := bundle(t)
	etc := filepath.Join(dir, "rootfs/etc")
	if err := os.WriteFile(filepath.Join(etc, "motd"), []byte("welcome\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "rootfs/settings")); err != nil {
		t.Fatal(err)
	}
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/settings", Type: "tmpfs", Source: "tmpfs", Options: []string{"nodev", "size=1m", "mode=711", "tmpcopyup"}},
		specs.Mount{Destination: "/new", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "ro"}},
	)
	if _, _, err := run(t, open(t), dir, s, "/bin/true"); err == nil || !strings.Contains(err.Error(), "/mounts/7") {
		t.Errorf("without anything that copies: %v", err)
	}
	r, err := Open(Options{Root: filepath.Join(t.TempDir(), "state"), CopyTree: func(ctx context.Context, from, to *os.File) error {
		return exec.CommandContext(ctx, "cp", "-a", "/proc/"+pid(from)+"/.", "/proc/"+pid(to)+"/").Run()
	}})
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := run(t, r, dir, s, "/bin/sh", "-c", "cat /etc/motd; stat -c %a /etc /etc/motd; echo changed >/etc/motd; touch /new/x; grep ' /etc ' /proc/mounts")
	want := "welcome\n711\n640\n"
	if err != nil || !strings.HasPrefix(out, want) || !strings.Contains(out, "Read-only") || !strings.Contains(out, "nodev") {
		t.Errorf("%q, %v", out, err)
	}
	if b, err := os.ReadFile(filepath.Join(etc, "motd")); err != nil || string(b) != "welcome\n" {
		t.Errorf("the root file system has %q, %v", b, err)
	}
}

// TestTmpCopyUpInUserNamespace: it belongs to the container's root, or to whom the options say.
func TestTmpCopyUpInUserNamespace(t *testing.T) {
	dir, s := bundle(t)
	withUserns(t, dir, s)
	if err := os.Chown(filepath.Join(dir, "rootfs/etc"), 100005, 100006); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][2]string{{"/new", "tmpcopyup"}, {"/etc", "tmpcopyup"}, {"/tmp", "tmpcopyup,uid=7,gid=8"}, {"/root", "tmpcopyup,uid=70000"}} {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: m[0], Type: "tmpfs", Source: "tmpfs", Options: strings.Split(m[1], ",")})
	}
	r, err := Open(Options{Root: filepath.Join(t.TempDir(), "state"), CopyTree: func(ctx context.Context, from, to *os.File) error {
		return exec.CommandContext(ctx, "cp", "-a", "/proc/"+pid(from)+"/.", "/proc/"+pid(to)+"/").Run()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t, r, dir, s, "/bin/true"); err == nil || !strings.Contains(err.Error(), "uid=70000") {
		t.Errorf("an id that is not mapped: %v", err)
	}
	s.Mounts = s.Mounts[:len(s.Mounts)-1]
	out, _, err := run(t, r, dir, s, "/bin/stat", "-c", "%n %u:%g", "/new", "/etc", "/tmp")
	if err != nil || out != "/new 0:0\n/etc 5:6\n/tmp 7:8\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func pid(f *os.File) string {
	return strings.Join([]string{strconv.Itoa(os.Getpid()), "fd", strconv.Itoa(int(f.Fd()))}, "/")
}

// TestGivenMount: a mount that the caller made takes the place of what type and source say.
func TestGivenMount(t *testing.T) {
	dir, s := bundle(t)
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/given", Type: "bind", Source: "nowhere", Options: []string{"bind", "ro"}})
	fd, err := unix.OpenTree(unix.AT_FDCWD, sources(t, dir), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "tree")
	defer f.Close()
	s.Process.Args = []string{"/bin/sh", "-c", "cat /given/f && ! touch /given/x"}
	ctx := context.Background()
	create := CreateOptions{ID: id(t), Bundle: dir, Spec: s, Attached: true, Mounts: map[int]*os.File{len(s.Mounts) - 1: f}}
	c, err := open(t).Create(ctx, create)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	st, err := c.Wait(ctx)
	if err != nil || st.Code() != 0 {
		t.Errorf("%v, %v", st, err)
	}
	if err := c.Delete(ctx, true); err != nil {
		t.Fatal(err)
	}
	create.Mounts = map[int]*os.File{len(s.Mounts): f}
	if _, err := open(t).Create(ctx, create); err == nil {
		t.Error("a mount for none in the configuration was taken")
	}
}
