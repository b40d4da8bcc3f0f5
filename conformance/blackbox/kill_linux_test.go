package blackbox_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killAt starts the binary, kills it with signal 9 after a while, and tells whether it was still there.
func (s *sandbox) killAt(t *testing.T, after time.Duration, args ...string) bool {
	t.Helper()
	cmd := s.cmd(args...)
	check(t, cmd.Start())
	timer := time.NewTimer(after)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		timer.Stop()
		if err != nil {
			t.Errorf("%q ended by itself: %v", args, err)
		}
		return false
	case <-timer.C:
	}
	_ = cmd.Process.Kill()
	<-done
	return true
}

// point is the i-th of n moments spread over a duration, a little beyond its end included.
func point(i, n int, whole time.Duration) time.Duration {
	return whole * time.Duration(2*i+1) / time.Duration(2*n-2)
}

// A pull that is killed at any moment leaves a sound store; the next one goes on and completes.
func TestKill_pull(t *testing.T) {
	t.Parallel()
	p := newProxy(t, strings.Split(upstream.image(t, "python"), "/")[0])
	p.rate.Store(60 << 20)
	ref := p.via(upstream.image(t, "python"))
	s := newSandbox(t)
	whole := s.run("pull", ref)
	if whole.status != 0 {
		t.Fatal(whole)
	}
	complete := p.bodies.Load()
	s = newSandbox(t)
	p.reset()
	killed := 0
	for i := range 8 {
		if s.killAt(t, point(i, 8, whole.took/2), "pull", ref) {
			killed++
		}
		s.clean(t)
	}
	s.ok(t, "pull", ref)
	s.clean(t)
	t.Logf("killed %d times; %d MiB transferred in all, %d MiB in one piece", killed, p.bodies.Load()>>20, complete>>20)
	p.reset()
	s.ok(t, "pull", ref)
	if n := p.blobs.Load(); n != 0 {
		t.Errorf("after the last pull, %d blobs were missing", n)
	}
}

// An unpack that is killed at any moment can be made again at the same place.
func TestKill_unpack(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref, dir := upstream.image(t, "python"), filepath.Join(s.dir, "out", "rootfs")
	s.ok(t, "pull", ref)
	command(t, "mkdir", filepath.Dir(dir))
	whole := s.run("unpack", ref, dir)
	if whole.status != 0 {
		t.Fatal(whole)
	}
	want := tree(t, dir)
	command(t, "rm", "-rf", dir)
	for i := range 6 {
		if !s.killAt(t, point(i, 6, whole.took), "unpack", ref, dir) {
			command(t, "rm", "-rf", dir)
		}
		s.clean(t)
	}
	s.ok(t, "unpack", ref, dir)
	same(t, "after the kills", tree(t, dir), want)
	if got := names(filepath.Dir(dir)); len(got) != 1 {
		t.Errorf("beside the rootfs there is %q", got)
	}
	if got := mounts(s.dir); len(got) != 0 {
		t.Errorf("mounts are left: %q", got)
	}
	s.clean(t)
}

// A first run, which unpacks the layers, that is killed at any moment leaves a store in which the
// next run works.
func TestKill_first_run(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "python-bare")
	s.ok(t, "pull", ref)
	whole := s.run("run", "--rm", ref, "true")
	if whole.status != 0 {
		t.Fatal(whole)
	}
	s = newSandbox(t)
	s.ok(t, "pull", ref)
	for i := range 6 {
		s.killAt(t, point(i, 6, whole.took), "run", "--rm", ref, "true")
		s.clean(t)
		if i%2 == 1 {
			command(t, "rm", "-rf", filepath.Join(s.root, "layers"))
		}
	}
	if out := s.ok(t, "run", "--rm", ref, "python3", "-c", "print(6*7)"); out != "42\n" {
		t.Errorf("stdout is %q", out)
	}
	s.clean(t)
	if got := mounts(s.dir); len(got) != 0 {
		t.Errorf("mounts are left: %q", got)
	}
}

// A run that is killed at any moment leaves at most a container that ps lists: what is there does not
// stand in the way of the next run, and delete takes all of it away.
func TestKill_run(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	ref := upstream.image(t, "busybox")
	s.ok(t, "pull", ref)
	whole := s.run("run", "--rm", ref, "true")
	if whole.status != 0 {
		t.Fatal(whole)
	}
	const points = 24
	var ids []string
	for i := range points {
		id := token()
		ids = append(ids, id)
		s.killAt(t, point(i, points, 2*whole.took), "run", "--rm", "--name", id, ref, "sh", "-c", "sleep 300; exit", id)
	}
	s.clean(t)
	if out := s.ok(t, "run", "--rm", ref, "echo", "works"); out != "works\n" {
		t.Errorf("stdout is %q", out)
	}
	list := s.ok(t, "ps", "--all")
	for _, id := range ids {
		if len(processes(id)) != 0 && !strings.Contains(list, id) {
			t.Errorf("container %s runs, and ps does not list it:\n%s", id, list)
		}
		s.ok(t, "delete", "--force", id)
		leftovers(t, s, id)
	}
	if got := names(filepath.Join(s.root, "containers")); len(got) != 0 {
		t.Errorf("containers holds %q", got)
	}
	s.clean(t)
}

// create that is killed at any moment leaves an id that can be deleted and used again.
func TestKill_create(t *testing.T) {
	t.Parallel()
	needRoot(t)
	s := newSandbox(t)
	dir := s.foreignBundle(t, false)
	id := token()
	edit(t, dir, func(c map[string]any) {
		process(c)["terminal"], process(c)["args"] = false, []string{"sh", "-c", "sleep 300; exit", id}
	})
	whole := s.run("create", "--bundle", dir, id)
	if whole.status != 0 {
		t.Fatal(whole)
	}
	s.ok(t, "delete", "--force", id)
	for i := range 20 {
		s.killAt(t, point(i, 20, whole.took), "create", "--bundle", dir, id)
		s.ok(t, "delete", "--force", id)
		if got := remains(s, id); len(got) != 0 {
			time.Sleep(100 * time.Millisecond) // a process that was killed is reaped by someone else
			leftovers(t, s, id)
		}
	}
	s.ok(t, "create", "--bundle", dir, id)
	s.ok(t, "delete", "--force", id)
	leftovers(t, s, id)
}

// Several pulls and runs of one image at once work, and share what they fetch.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	needRoot(t)
	p := newProxy(t, strings.Split(upstream.image(t, "python-bare"), "/")[0])
	ref := p.via(upstream.image(t, "python-bare"))
	s := newSandbox(t)
	var all []*running
	for range 4 {
		all = append(all, start(t, s.cmd("run", "--rm", ref, "python3", "-c", "print(6*7)")))
	}
	for _, r := range all {
		if got := r.status(t); got != 0 || !strings.Contains(r.text(), "42") {
			t.Errorf("status %d: %s", got, r.text())
		}
	}
	s.clean(t)
	if out, err := exec.Command("sh", "-c", "ls "+filepath.Join(s.root, "layers")+" | sort | uniq -d").Output(); err != nil || len(out) != 0 {
		t.Errorf("layers: %s %v", out, err)
	}
}
