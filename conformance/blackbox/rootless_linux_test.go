package blackbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// unprivileged is a user that this machine does not know.
const unprivileged = 54321

// asUser makes a sandbox whose commands run as an unprivileged user without supplementary groups.
func asUser(t *testing.T) *sandbox {
	t.Helper()
	needRoot(t)
	needTools(t, "setpriv")
	s := newSandbox(t)
	s.wrap = []string{"setpriv", "--reuid", fmt.Sprint(unprivileged), "--regid", fmt.Sprint(unprivileged), "--clear-groups", "--inh-caps=-all"}
	for _, dir := range []string{"", "home", "run"} {
		check(t, os.MkdirAll(filepath.Join(s.dir, dir), 0o755))
		check(t, os.Chown(filepath.Join(s.dir, dir), unprivileged, unprivileged))
	}
	s.env = append(s.env, "HOME="+filepath.Join(s.dir, "home"), "XDG_RUNTIME_DIR="+filepath.Join(s.dir, "run"), "USER=someone")
	if out, err := s.probe("unshare", "-Ur", "true"); err != nil {
		t.Skipf("needs user namespaces: %v %s", err, out)
	}
	return s
}

// probe runs another program as the user.
func (s *sandbox) probe(args ...string) (string, error) {
	cmd := s.cmd()
	cmd.Args = append(append([]string{}, s.wrap...), args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A user without privileges or subordinate ids pulls and runs an image whose files all belong to root.
func TestRootless_one_id(t *testing.T) {
	t.Parallel()
	s := asUser(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	id := token()
	out := s.ok(t, "run", "--rm", "--name", id, ref, "sh", "-c", "id -u; echo $$; touch /new && echo written; cat /proc/self/uid_map; hostname")
	if !strings.HasPrefix(out, "0\n1\nwritten\n") || !strings.Contains(out, fmt.Sprint(unprivileged)) {
		t.Errorf("stdout is %q", out)
	}
	leftovers(t, s, id)
	s.fails(t, 7, nil, "run", "--rm", ref, "sh", "-c", "exit 7")
	s.fails(t, 127, nil, "run", "--rm", ref, "/no/such")
	s.clean(t)
	s.ownAll(t)
}

// With subordinate ids the images with many owners run too, as the image's own user.
func TestRootless_subordinate_ids(t *testing.T) {
	s := asUser(t)
	needTools(t, "newuidmap", "newgidmap")
	if os.Getenv(entered) == "" {
		t.Skip("needs a mount namespace of its own, to give the user subordinate ids")
	}
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("someone:x:%d:%[1]d::/:/bin/sh", unprivileged),
		"/etc/group":  fmt.Sprintf("someone:x:%d:", unprivileged),
		"/etc/subuid": "someone:200000:4000000",
		"/etc/subgid": "someone:200000:4000000",
	} {
		own := filepath.Join(s.dir, filepath.Base(file))
		before, err := os.ReadFile(file)
		check(t, err)
		check(t, os.WriteFile(own, fmt.Appendf(before, "%s\n", line), 0o644))
		check(t, unix.Mount(own, file, "", unix.MS_BIND, ""))
		t.Cleanup(func() { check(t, unix.Unmount(file, 0)) })
	}
	for _, image := range []string{"debian", "python-bare"} {
		ref := upstream.image(t, image)
		s.ok(t, "pull", ref)
		args := []string{"run", "--rm", ref, "sh", "-c", "id -u; cat /etc/hostname >/dev/null && echo 42"}
		if out := s.ok(t, args...); out != map[string]string{"debian": "0\n42\n", "python-bare": "1000\n42\n"}[image] {
			t.Errorf("%s: stdout is %q", image, out)
		}
	}
	if out := s.ok(t, "run", "--rm", upstream.image(t, "python-bare"), "python3", "-c", "print(6*7)"); out != "42\n" {
		t.Errorf("stdout is %q", out)
	}
	s.clean(t)
}

// ownAll demands that nothing in the store belongs to anyone but the user: with one id there is no other.
func (s *sandbox) ownAll(t *testing.T) {
	t.Helper()
	for path, what := range tree(t, s.root) {
		if !strings.Contains(what, fmt.Sprintf("owner %d:%d", unprivileged, unprivileged)) {
			t.Errorf("%s: %s", path, what)
		}
	}
}
