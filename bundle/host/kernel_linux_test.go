package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/host"
	"github.com/oci-pipeline/oci/runtime"
)

// deed is one change of a bundle that runs, whose judgement is held against what runtimes do.
type deed struct {
	name   string
	change func(*specs.Spec)
	// own: not all versions of the other runtimes know the property.
	own bool
	// limit: of control groups.
	limit bool
	// crun is what crun does instead of refusing: the container is another one than the config says.
	crun string
}

// ground is where the bundles of the test are.
type ground struct {
	dir  string
	user bool // not root
}

// TestHost_kernel: a bundle of which the judge says "refused" does not run, and one of which it says nothing does.
func TestHost_kernel(t *testing.T) {
	g := newGround(t)
	deeds := rootDeeds(g)
	if g.user = os.Getuid() != 0; g.user {
		deeds = userDeeds(g)
	}
	refused, fine := g.judge(t, g.runtimes(t), deeds)
	if !t.Failed() && (refused < len(deeds)/4 || fine < 3) {
		t.Errorf("%d refused and %d fine: nothing is proved here", refused, fine)
	}
}

// judge holds the judgement of each deed against what the runtimes do. It counts those of which something is said and of which nothing is.
func (g *ground) judge(t *testing.T, runtimes []runner, deeds []deed) (refused, fine int) {
	t.Helper()
	for i, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			s := g.write(t, d)
			facts, err := host.Probe(t.Context(), s, g.dir)
			if err != nil {
				t.Fatal(err)
			}
			found := host.Judge(s, facts)
			bad := slices.ContainsFunc(found, func(f host.Finding) bool { return f.Effect == host.Refused })
			switch {
			case bad:
				refused++
			case len(found) == 0:
				fine++
			default:
				t.Logf("not held against anything: %v", found)
				return
			}
			for k, r := range runtimes {
				others := len(runtimes) - 1
				turn := k == 0 || os.Getenv(named) != "" || i%others == k-1 // one of the others, for time's sake
				if !turn || r.path != "" && d.own || r.hides && d.limit {
					continue
				}
				err := g.run(r, s, strconv.Itoa(i))
				switch {
				case bad && err == nil && d.crun != "" && strings.Contains(r.path, "crun"):
					t.Logf("%s %s", r.path, d.crun)
				case (err != nil) != bad:
					t.Errorf("%s: %v; judged: %v", r.path, err, found)
				case bad:
					t.Logf("%s: %v; judged: %v", r.path, err, found)
				}
			}
		})
	}
	t.Logf("%d refused and %d fine, of %d, under %v", refused, fine, len(deeds), runtimes)
	return refused, fine
}

// runner is a runtime: the one of this project without a path.
type runner struct {
	path  string
	hides bool // it does not take v1 and v2 of control groups beside each other, so v2 is hidden from it
}

// unified is where cgroup2 is beside v1.
const unified = "/sys/fs/cgroup/unified"

// hidden runs a command in a mount namespace in which that is empty.
func hidden(name string, args ...string) *exec.Cmd {
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", `[ ! -d ` + unified + ` ] || mount -t tmpfs none ` + unified + `; exec "$0" "$@"`, name}, args...)...)
}

// named has in the environment the runtimes that every deed is tried under, with commas between.
const named = "OCI_TEST_RUNTIMES"

// runtimes are those that run the bundle as it is.
func (g *ground) runtimes(t *testing.T) []runner {
	t.Helper()
	s := g.write(t, deed{change: func(*specs.Spec) {}})
	list := []runner{{}}
	if err := g.run(list[0], s, "base"); err != nil {
		t.Skipf("no container can be made here: %v", err)
	}
	names := os.Getenv(named)
	if names == "" {
		names = "runc,crun"
	}
	for name := range strings.SplitSeq(names, ",") {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Logf("%s is not installed", name)
			continue
		}
		_, err = os.Stat(unified + "/cgroup.procs")
		r := runner{path, strings.Contains(path, "crun") && err == nil && !g.user}
		if err := g.run(r, s, "base"); err != nil {
			t.Logf("%s runs nothing here: %v", name, err)
			continue
		}
		list = append(list, r)
	}
	// crun makes places on a read-only mount, where the others would find them.
	slices.SortStableFunc(list, func(a, b runner) int { return strings.Count(a.path, "/crun") - strings.Count(b.path, "/crun") })
	return list
}

// write writes the bundle with one change.
func (g *ground) write(t *testing.T, d deed) *specs.Spec {
	t.Helper()
	s := g.spec()
	d.change(s)
	s.Version = bundle.MinVersion(s)
	raw, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "config.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHost_kernelUser is the same for a user without privileges.
func TestHost_kernelUser(t *testing.T) {
	test, tmp := again(t)
	if out, err := exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur", "true").CombinedOutput(); err != nil {
		t.Skipf("a user may make no user namespace: %v: %s", err, out)
	}
	if err := os.Chown(tmp, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	cmd := hidden("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", test, "-test.run=^TestHost_kernel$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp, "XDG_RUNTIME_DIR="+tmp)
	passes(t, cmd)
}

// TestHost_kernelNested is the same for the root of a user namespace, as in a container.
func TestHost_kernelNested(t *testing.T) {
	test, tmp := again(t)
	cmd := exec.Command(test, "-test.run=^TestHost_kernel$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, named+"=none", nested+"=1")
	ids := []syscall.SysProcIDMap{{Size: 200000}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
	}
	passes(t, cmd)
}

// nested says in the environment that the test is in a user namespace.
const nested = "OCI_TEST_NESTED"

// again gives the test as a program that any user may run, and a directory for its files.
func again(t *testing.T) (test, tmp string) {
	t.Helper()
	if os.Getuid() != 0 || os.Getenv(nested) != "" {
		t.Skip("only root can become others")
	}
	dir := t.TempDir()
	raw, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	test, tmp = filepath.Join(dir, "host.test"), filepath.Join(dir, "tmp")
	if err := errors.Join(os.WriteFile(test, raw, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Mkdir(tmp, 0o755)); err != nil {
		t.Fatal(err)
	}
	return test, tmp
}

func passes(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// newGround makes a bundle's root directory with one static program, and the files that the deeds want.
func newGround(t *testing.T) *ground {
	t.Helper()
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("/bin/busybox (Debian: busybox-static) is not installed")
	}
	g := &ground{dir: t.TempDir()}
	alien := bytes.Clone(box)
	alien[18], alien[19] = 0xf3, 0 // RISC-V
	if box[18] == 0xf3 {
		alien[18] = 0x3e
	}
	for _, d := range []string{"bin", "proc", "sys", "dev", "etc", "tmp", "run", "data"} {
		if err := os.MkdirAll(filepath.Join(g.dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(g.dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]struct {
		content string
		mode    fs.FileMode
	}{
		"rootfs/bin/busybox": {string(box), 0o755}, "rootfs/bin/alien": {string(alien), 0o755}, "rootfs/bin/text": {"hello\n", 0o755},
		"rootfs/bin/private": {"#!/bin/sh\nexit 0\n", 0o750}, "rootfs/bin/plain": {string(box[:4096]), 0o644}, "rootfs/bin/script": {"#!/bin/sh\nexit 0\n", 0o755},
		"rootfs/bin/orphan": {"#!/bin/perl\n", 0o755}, "rootfs/etc/file": {"", 0o644}, "file": {"", 0o644}, "hook": {"#!/bin/sh\nexit 0\n", 0o755},
	} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"true", "sh"} {
		if err := os.Symlink("busybox", filepath.Join(g.dir, "rootfs/bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(g.dir, "rootfs/bin/private"), 0, 1001); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{g.dir, filepath.Dir(g.dir)} { // for the ids of user namespaces
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// spec is a config that runs, for root or for a user.
func (g *ground) spec() *specs.Spec {
	s := bundle.DefaultSpec()
	s.Process.Args, s.Process.Env, s.Process.Terminal = []string{"true"}, []string{"PATH=/bin"}, false
	s.Root.Path, s.Root.Readonly = "rootfs", false
	if os.Getenv(nested) != "" {
		s.Linux.Resources = nil
	}
	if !g.user {
		return s
	}
	userNamespace(s, 65534, 1)
	s.Linux.Resources = nil
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	for i := range s.Mounts {
		s.Mounts[i].Options = slices.DeleteFunc(s.Mounts[i].Options, func(o string) bool { return o == "gid=5" })
	}
	return s
}

func userNamespace(s *specs.Spec, first, n uint32) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: first, Size: n}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

// without takes a namespace away.
func without(s *specs.Spec, t specs.LinuxNamespaceType) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

// run runs the bundle to its end.
func (g *ground) run(by runner, s *specs.Spec, name string) error {
	id := "host-test-" + strconv.Itoa(os.Getpid()) + "-" + name
	state := filepath.Join(g.dir, "state"+strings.ReplaceAll(by.path, "/", "-"))
	if by.path != "" {
		var said bytes.Buffer
		cmd := exec.Command(by.path, "--root", state, "run", "--bundle", g.dir, id)
		if by.hides {
			cmd = hidden(by.path, cmd.Args[1:]...)
		}
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Run(); err != nil {
			_ = exec.Command(by.path, "--root", state, "delete", "--force", id).Run() // where something was left
			groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + id)
			for _, dir := range append(groups, "/sys/fs/cgroup/"+id) { // crun leaves them where it has no right to filter devices
				_ = os.Remove(dir)
			}
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
		}
		return nil
	}
	r, err := runtime.Open(runtime.Options{Root: state})
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	ctx := context.Background()
	c, err := r.Create(ctx, runtime.CreateOptions{ID: id, Bundle: g.dir, Spec: s, Stdio: [3]*os.File{null, null, null}, Attached: true})
	if err != nil {
		return err
	}
	st := runtime.ExitStatus{}
	if err = c.Start(ctx); err == nil {
		st, err = c.Wait(ctx)
	}
	if err == nil && st.Code() != 0 {
		err = fmt.Errorf("status %d", st.Code())
	}
	return errors.Join(err, c.Delete(ctx, true))
}
