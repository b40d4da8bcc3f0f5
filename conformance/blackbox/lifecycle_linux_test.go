package blackbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// --rm leaves nothing, whichever way the program ends, and without it the container stays to be seen
// and deleted.
func TestRun_rm_leaves_nothing(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	before := names(s.root)
	for _, script := range []string{"true", "exit 3", "sleep 100 & exit 0", "(sleep 100 </dev/null >/dev/null 2>&1 &) ; exit 0", "echo x >/file; mkdir -p /a/b", "exec /no/such"} {
		id := token()
		s.run("run", "--rm", "--name", id, ref, "sh", "-c", script, id)
		leftovers(t, s, id)
	}
	if got := names(filepath.Join(s.root, "containers")); len(got) != 0 {
		t.Errorf("containers holds %q", got)
	}
	if got := names(s.state); len(got) != 0 {
		t.Errorf("the state directory holds %q", got)
	}
	for _, name := range names(s.root) {
		if !strings.Contains(strings.Join(before, " ")+" containers layers", name) {
			t.Errorf("the store has a new entry %s", name)
		}
	}
	s.clean(t)
}

// ps shows the running containers, and with --all those that ended; delete takes them away.
func TestPs(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	id := token()
	r := start(t, s.cmd("run", "--name", id, ref, "sh", "-c", "echo ready; sleep 100; exit", id))
	r.waitFor(t, "ready")
	out := s.ok(t, "ps")
	if !strings.Contains(out, id) || !strings.Contains(strings.ToLower(out), "running") {
		t.Errorf("ps lacks the running container %s:\n%s", id, out)
	}
	if got := s.run("run", "--name", id, ref, "true"); got.status != 125 {
		t.Errorf("a second container of the same name: %v", got)
	}
	s.ok(t, "kill", id, "KILL")
	if got := r.status(t); got != 137 {
		t.Errorf("status %d, want 137", got)
	}
	if out := s.ok(t, "ps"); strings.Contains(out, id) {
		t.Errorf("ps has the container that ended:\n%s", out)
	}
	if out := s.ok(t, "ps", "--all"); !strings.Contains(out, id) {
		t.Errorf("ps --all lacks the container that ended:\n%s", out)
	}
	s.ok(t, "delete", id)
	leftovers(t, s, id)
	if out := s.ok(t, "ps", "--all"); strings.Contains(out, id) {
		t.Errorf("ps --all has the container that was deleted:\n%s", out)
	}
}

// Two containers of one image do not see each other's changes, and layers are unpacked once.
func TestRun_layers_are_shared(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "python-bare")
	s.ok(t, "run", "--rm", "--user", "0", ref, "sh", "-c", "echo changed >/etc/hostname; rm -rf /opt")
	layers := names(filepath.Join(s.root, "layers"))
	if len(layers) < 4 {
		t.Fatalf("layers holds %q", layers)
	}
	stamp := func() string {
		var b strings.Builder
		for _, l := range layers {
			info, err := os.Stat(filepath.Join(s.root, "layers", l))
			check(t, err)
			b.WriteString(l + info.ModTime().String())
		}
		return b.String()
	}
	first := stamp()
	out := s.ok(t, "run", "--rm", ref, "python3", "-c", "import os; print(open('/etc/hostname').read().strip(), sorted(os.listdir('/opt'))[0])")
	if strings.HasPrefix(out, "changed") || !strings.Contains(out, "change") && !strings.Contains(out, "kinds") {
		t.Errorf("the second container sees %q", out)
	}
	if again := names(filepath.Join(s.root, "layers")); len(again) != len(layers) || stamp() != first {
		t.Errorf("layers were unpacked again: %q", again)
	}
	s.clean(t)
}
