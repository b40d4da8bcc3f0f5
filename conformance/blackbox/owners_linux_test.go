package blackbox_test

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// grant makes the user of a sandbox one that the machine knows, with subordinate ids. More can be granted later:
// the files are the test's own.
func grant(t *testing.T, s *sandbox, line string) (files map[string]string) {
	t.Helper()
	needTools(t, "newuidmap", "newgidmap")
	if os.Getenv(entered) == "" {
		t.Skip("needs a mount namespace of its own, to give the user subordinate ids")
	}
	files = map[string]string{}
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("someone:x:%d:%[1]d::/:/bin/sh", unprivileged), "/etc/group": fmt.Sprintf("someone:x:%d:", unprivileged),
		"/etc/subuid": line, "/etc/subgid": line,
	} {
		own := filepath.Join(s.dir, filepath.Base(file))
		before := []byte{}
		if !strings.HasPrefix(file, "/etc/sub") {
			var err error
			before, err = os.ReadFile(file)
			check(t, err)
		}
		check(t, os.WriteFile(own, fmt.Appendf(before, "%s\n", line), 0o644))
		check(t, unix.Mount(own, file, "", unix.MS_BIND, ""))
		t.Cleanup(func() { check(t, unix.Unmount(file, 0)) })
		files[file] = own
	}
	return files
}

// ownedImage is an image with a program, and files of a user and of one with a large id.
func ownedImage(t *testing.T, large int) *faulty {
	t.Helper()
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if os.IsNotExist(err) {
		busybox, err = os.ReadFile("/bin/busybox")
	}
	if err != nil {
		t.Skipf("needs a static busybox: %v", err)
	}
	return newFaulty(t, entry{name: "bin/", kind: tar.TypeDir}, entry{name: "bin/sh", kind: tar.TypeReg, body: string(busybox)},
		entry{name: "f", kind: tar.TypeReg, body: "x", owner: 1000}, entry{name: "g", kind: tar.TypeReg, body: "x", owner: large})
}

var grantLine = regexp.MustCompile(`the line (\S+) in (/etc/sub[ug]id) gives you the id`)

// TestH33_the_hint_is_right: what the message says to write into /etc/subuid and /etc/subgid is what was missing.
func TestH33_the_hint_is_right(t *testing.T) {
	s := asUser(t)
	files := grant(t, s, "someone:200000:65536")
	f := ownedImage(t, 70000)
	s.ok(t, "pull", f.ref())
	dir := filepath.Join(s.dir, "home", "rootfs")
	for _, kind := range []string{"uid", "gid"} {
		r := s.fails(t, 9, []string{
			`apply "g" (layer 1 sha256:`, "owner cannot be represented: " + kind + " 70000: invalid argument",
			fmt.Sprintf("the user namespace has the %ss 0:%d:1 1:200000:65536 only", kind, unprivileged), "--single-id",
		}, "unpack", f.ref(), dir)
		m := grantLine.FindStringSubmatch(r.stderr)
		if m == nil || m[1] != "someone:265536:65536" || m[2] != "/etc/sub"+kind {
			t.Fatalf("no line to add: %v", r)
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Error("the target is there after a failure")
		}
		before, err := os.ReadFile(files[m[2]])
		check(t, err)
		check(t, os.WriteFile(files[m[2]], fmt.Appendf(before, "%s\n", m[1]), 0o644))
	}
	s.ok(t, "unpack", f.ref(), dir)
	got := tree(t, dir)
	for name, owner := range map[string]int{"/f": 200999, "/g": 265536 + 70000 - 65537, "/bin/sh": unprivileged} {
		if !strings.Contains(got[name], fmt.Sprintf(" owner %d:%[1]d ", owner)) {
			t.Errorf("%s: %s, want owner %d", name, got[name], owner)
		}
	}
	other := filepath.Join(s.dir, "home", "single")
	s.ok(t, "unpack", "--single-id", f.ref(), other)
	if what := tree(t, other)["/f"]; !strings.Contains(what, fmt.Sprintf(" owner %d:%[1]d ", unprivileged)) || !strings.Contains(what, "user.rootlesscontainers") {
		t.Errorf("/f with a single id: %s", what)
	}
}

// TestH33_maps_of_a_user: a user names the ids of a map as they are on the host; runtimes that the user starts
// run the bundle with them.
func TestH33_maps_of_a_user(t *testing.T) {
	s := asUser(t)
	grant(t, s, "someone:200000:65536")
	f := ownedImage(t, 5)
	s.ok(t, "pull", f.ref())
	for name, c := range map[string]struct {
		args []string
		root int
		f    int
	}{
		"own":   {[]string{"--uid-map", fmt.Sprintf("0:%d", unprivileged), "--uid-map", "1:200000:2000"}, unprivileged, 200999},
		"other": {[]string{"--uid-map", "0:200000:65536"}, 200000, 201000},
		"none":  {nil, unprivileged, 200999},
	} {
		b := filepath.Join(s.dir, "home", name)
		s.ok(t, append(append([]string{"bundle", "-q"}, c.args...), f.ref(), b, "sh", "-c", "busybox=/bin/sh; exec -a stat $busybox -c %u:%g /f")...)
		got := tree(t, b)
		if !strings.Contains(got["/rootfs/f"], fmt.Sprintf(" owner %d:%[1]d ", c.f)) || !strings.Contains(got["/rootfs/bin"], fmt.Sprintf(" owner %d:%[1]d ", c.root)) {
			t.Errorf("%s: /f is %s, /bin %s", name, got["/rootfs/f"], got["/rootfs/bin"])
		}
		if out := s.ok(t, "run", "--bundle", b, token()); out != "1000:1000\n" {
			t.Errorf("%s: stdout is %q", name, out)
		}
		if c.root != unprivileged {
			continue // runc 1.1 gives its pipes to the container's root, which the user may not
		}
		out, err := s.probe("runc", "--root", filepath.Join(s.dir, "run", "runc"), "run", "--bundle", b, token())
		if err != nil || out != "1000:1000\n" {
			t.Errorf("%s: runc: %v, %q", name, err, out)
		}
	}
	s.fails(t, 9, []string{"--uid-map: this user has no uid 300000, only", "the line someone:300000:10 in /etc/subuid"},
		"unpack", "--uid-map", "0:300000:10", f.ref(), filepath.Join(s.dir, "home", "no"))
	s.fails(t, 9, []string{`apply "f"`, "uid 1000: the uid map is 0:1:10", "a further --uid-map, such as 1000:HOST:1"},
		"unpack", "--uid-map", "0:200000:10", f.ref(), filepath.Join(s.dir, "home", "no"))
}

// TestH33_no_newuidmap: without the helpers the ranges of a user are of no use: there is a single id.
func TestH33_no_newuidmap(t *testing.T) {
	s := asUser(t)
	grant(t, s, "someone:200000:65536")
	f := ownedImage(t, 70000)
	s.env = append(s.env, "PATH=/nowhere")
	dir := filepath.Join(s.dir, "home", "rootfs")
	s.ok(t, "unpack", f.ref(), dir)
	for name, what := range tree(t, dir) {
		if !strings.Contains(what, fmt.Sprintf(" owner %d:%[1]d ", unprivileged)) || strings.Contains(what, "user.rootlesscontainers") != (name == "/f" || name == "/g") {
			t.Errorf("%s: %s", name, what)
		}
	}
	s.fails(t, 9, []string{"this user has no uid 200000", "newuidmap and newgidmap (package uidmap), which are not installed"},
		"unpack", "--uid-map", "0:200000:10", f.ref(), filepath.Join(s.dir, "home", "no"))
	s.clean(t)
}
