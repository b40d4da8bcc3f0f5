package interop_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tartest"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// prepared gives a layout with a small image, busybox and a layer of files to change, as name "latest"; or skips
// the test. That layer is of this program's making too.
func prepared(t *testing.T, env []string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners")
	}
	busybox := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "busybox")
	if _, err := os.Stat(filepath.Join(busybox, "oci-layout")); err != nil {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	dir := t.TempDir()
	root, layout := filepath.Join(dir, "root"), filepath.Join(dir, "layout")
	run(t, env, "oci", "copy", "-q", "oci:"+busybox+":latest", "store:busybox")
	run(t, env, "oci", "unpack", "-q", "busybox", root)
	for _, name := range []string{
		"etc/motd", "etc/debian_version", "etc/issue", "etc/issue.net", "etc/hostname", "usr/bin/env", "usr/bin/cat",
		"usr/share/doc/a/b", "usr/share/doc/c", "usr/share/man/cs/x", "usr/share/man/man1/y", "opt/.", "srv/.",
	} {
		check(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		if !strings.HasSuffix(name, ".") {
			check(t, errors.Join(os.RemoveAll(filepath.Join(root, name)), os.WriteFile(filepath.Join(root, name), []byte(name), 0o755)))
		}
	}
	run(t, env, "oci", "repack", "-q", root, "prepared")
	run(t, env, "oci", "copy", "-q", "store:prepared", "oci:"+layout+":latest")
	return layout
}

// alter changes a root file system in every way that a layer can tell.
func alter(t *testing.T, root string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(root, name) }
	check(t, errors.Join(
		os.WriteFile(at("etc/new file"), []byte("new\n"), 0o640),
		os.WriteFile(at("etc/motd"), []byte("changed\n"), 0o644),
		os.Remove(at("etc/debian_version")),
		os.RemoveAll(at("usr/share/doc")),
		os.RemoveAll(at("usr/share/man")), os.WriteFile(at("usr/share/man"), nil, 0o644), // a directory becomes a file
		os.Remove(at("etc/issue")), os.Mkdir(at("etc/issue"), 0o711), os.WriteFile(at("etc/issue/in"), []byte("in"), 0o600),
		os.Remove(at("etc/issue.net")), os.Symlink("issue/in", at("etc/issue.net")),
		os.WriteFile(at("opt/a"), []byte("linked"), 0o644), os.Link(at("opt/a"), at("opt/b")), os.Link(at("opt/a"), at("srv/c")),
		os.Chmod(at("usr/bin/env"), 0o4755),
		os.Lchown(at("etc/hostname"), 7, 8),
		unix.Mkfifo(at("opt/fifo"), 0o600),
		unix.Mknod(at("opt/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Setxattr(at("usr/bin/cat"), "user.mark", []byte("\x00x"), 0),
	))
}

// layerNames lists the names in the top layer of an image in a layout.
func layerNames(t *testing.T, layout, name string) []string {
	t.Helper()
	var idx ispec.Index
	readJSON(t, filepath.Join(layout, "index.json"), &idx)
	at := slices.IndexFunc(idx.Manifests, func(d ispec.Descriptor) bool { return d.Annotations[ispec.AnnotationRefName] == name })
	if at < 0 {
		t.Fatalf("%s has no %s", layout, name)
	}
	blob := func(d ispec.Descriptor) string { return filepath.Join(layout, "blobs", "sha256", d.Digest.Encoded()) }
	var m ispec.Manifest
	readJSON(t, blob(idx.Manifests[at]), &m)
	f, err := os.Open(blob(m.Layers[len(m.Layers)-1]))
	check(t, err)
	defer f.Close()
	var plain io.Reader = f
	if strings.HasSuffix(m.Layers[len(m.Layers)-1].MediaType, "gzip") {
		plain, err = gzip.NewReader(f)
		check(t, err)
	}
	var names []string
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names
		}
		check(t, err)
		names = append(names, strings.Trim(strings.TrimPrefix(h.Name, "./"), "/"))
	}
}

// seconds drops what umoci and buildah do not keep or what is no matter of the image: fractions of seconds.
func seconds(tree map[string]tartest.Node) map[string]tartest.Node {
	for path, n := range tree {
		n.Mtime, _, _ = strings.Cut(n.Mtime, ".")
		tree[path] = n
	}
	return tree
}

func treeOf(t *testing.T, dir string) map[string]tartest.Node {
	t.Helper()
	tree, err := tartest.Tree(dir)
	check(t, err)
	return tree
}

// repacked makes the image store:new of a changed root file system, which it gives.
func repacked(t *testing.T, env []string, layout string, flags ...string) (root, out string) {
	t.Helper()
	dir := t.TempDir()
	root, out = filepath.Join(dir, "root"), filepath.Join(dir, "out")
	run(t, env, "oci", "copy", "-q", "oci:"+layout+":latest", "store:base")
	run(t, env, "oci", "unpack", "-q", "base", root)
	alter(t, root)
	run(t, env, append([]string{"oci", "repack", "-q"}, append(flags, root, "new")...)...)
	run(t, env, "oci", "copy", "-q", "store:new", "oci:"+out+":new")
	return root, out
}

// TestRepack_as_umoci_does: of the same changes umoci makes the same entries, but for the directories on the way,
// which it leaves out where their own attributes did not change; and it unpacks our image to what was there.
func TestRepack_as_umoci_does(t *testing.T) {
	env := home(t)
	layout := prepared(t, env)
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	run(t, env, "oci", "copy", "-q", "oci:"+layout+":latest", "oci:"+theirs+":latest")
	run(t, env, "umoci", "unpack", "--image", theirs+":latest", filepath.Join(dir, "bundle"))
	alter(t, filepath.Join(dir, "bundle", "rootfs"))
	run(t, env, "umoci", "repack", "--image", theirs+":new", filepath.Join(dir, "bundle"))
	root, out := repacked(t, env, layout)
	got, want := layerNames(t, out, "new"), layerNames(t, theirs, "new")
	for _, name := range want {
		// What hides names in a directory that is a file now hides nothing.
		if !slices.Contains(got, name) && !strings.HasPrefix(name, "usr/share/man/.wh.") {
			t.Errorf("umoci has an entry for %q, this program none", name)
		}
	}
	for _, name := range got {
		above := slices.ContainsFunc(got, func(other string) bool { return strings.HasPrefix(other, name+"/") })
		if !slices.Contains(want, name) && !above {
			t.Errorf("this program has an entry for %q, umoci none", name)
		}
	}
	run(t, env, "umoci", "unpack", "--image", out+":new", filepath.Join(dir, "back"))
	if d := tartest.Diff(seconds(treeOf(t, filepath.Join(dir, "back", "rootfs"))), seconds(treeOf(t, root))); len(d) > 0 {
		t.Errorf("umoci unpacks the image to another tree:\n%s", strings.Join(d, "\n"))
	}
}

// TestRepack_as_buildah_does: buildah's commit of the same changes has the same whiteouts and files.
func TestRepack_as_buildah_does(t *testing.T) {
	env := home(t)
	layout := prepared(t, env)
	dir := t.TempDir()
	buildah := []string{"buildah", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "vfs"}
	lower, err := os.MkdirTemp("", "oci-buildah") // it makes a name of the path, in which there are no capitals
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(lower) })
	run(t, env, "oci", "copy", "-q", "oci:"+layout+":latest", "oci:"+filepath.Join(lower, "l")+":latest")
	name := run(t, env, append(buildah, "from", "oci:"+filepath.Join(lower, "l")+":latest")...)
	mount := run(t, env, append(buildah, "mount", name)...)
	alter(t, mount)
	theirs := filepath.Join(dir, "theirs")
	run(t, env, append(buildah, "commit", "-q", "--format", "oci", name, "oci:"+theirs+":new")...)
	_, out := repacked(t, env, layout)
	got, want := layerNames(t, out, "new"), layerNames(t, theirs, "new")
	if !slices.Equal(got, want) {
		for _, n := range want {
			if !slices.Contains(got, n) {
				t.Errorf("buildah has an entry for %q, this program none", n)
			}
		}
		for _, n := range got {
			if !slices.Contains(want, n) {
				t.Errorf("this program has an entry for %q, buildah none", n)
			}
		}
	}
}

// TestRepack_engines: skopeo copies the image, podman and containerd pull it from `oci serve`, podman loads it and shows
// the files that were there.
func TestRepack_engines(t *testing.T) {
	env := home(t)
	layout := prepared(t, env)
	root, out := repacked(t, env, layout, "--compression", "zstd")
	run(t, env, "skopeo", "copy", "-q", "oci:"+out+":new", "oci:"+filepath.Join(t.TempDir(), "copied")+":new")
	archive := filepath.Join(t.TempDir(), "a.tar")
	run(t, env, "oci", "copy", "-q", "oci:"+out+":new", "oci-archive:"+archive+":new")
	run(t, env, append(podmanArgs(t), "load", "-q", "-i", archive)...)
	host := server(t, "oci")
	ref := host + "/repacked:new"
	run(t, env, "oci", "copy", "-q", "oci:"+out+":new", ref)
	podman := podmanArgs(t)
	id := run(t, env, append(podman, "pull", "-q", "--tls-verify=false", ref)...)
	mount := run(t, env, append(podman, "image", "mount", id)...)
	defer run(t, env, append(podman, "image", "unmount", id)...)
	got, want := treeOf(t, mount), treeOf(t, root)
	for _, tree := range []map[string]tartest.Node{got, want} {
		delete(tree, ".") // the root is the engine's
	}
	if d := tartest.Diff(seconds(got), seconds(want)); len(d) > 0 {
		t.Errorf("podman shows another tree:\n%s", strings.Join(d, "\n"))
	}
	run(t, env, "ctr", "-a", containerd(t), "images", "pull", "--plain-http", "--snapshotter", "native", ref)
}

// TestRepack_docker: an image of Docker's media types stays one, and skopeo and podman take it.
func TestRepack_docker(t *testing.T) {
	env := home(t)
	v2s2 := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "debian-v2s2.dir")
	if _, err := os.Stat(v2s2); err != nil {
		t.Skip("needs the image debian-v2s2.dir")
	}
	dir := t.TempDir()
	run(t, env, "oci", "copy", "-q", "dir:"+v2s2, "store:base")
	run(t, env, "oci", "unpack", "-q", "base", filepath.Join(dir, "root"))
	check(t, os.WriteFile(filepath.Join(dir, "root", "new"), nil, 0o600))
	run(t, env, "oci", "repack", "-q", filepath.Join(dir, "root"), "new")
	if got := run(t, env, "oci", "manifest", "get", "store:new"); !strings.Contains(got, image.DockerManifest) || !strings.Contains(got, image.DockerLayerGzip) || strings.Contains(got, "vnd.oci") {
		t.Errorf("the manifest is no longer Docker's: %s", got)
	}
	run(t, env, "oci", "copy", "-q", "store:new", "docker-archive:"+filepath.Join(dir, "a.tar")+":new")
	run(t, env, "skopeo", "inspect", "docker-archive:"+filepath.Join(dir, "a.tar"))
}

// TestRepack_killed: however early or late it is killed, the store is whole, has the name only when all is there, and
// the next one makes the image.
func TestRepack_killed(t *testing.T) {
	env := home(t)
	prepared(t, env)
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	run(t, env, "oci", "unpack", "-q", "prepared", root)
	big := make([]byte, 24<<20)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	check(t, os.WriteFile(filepath.Join(root, "big"), big, 0o644))
	store := ""
	for _, v := range env {
		if name, ok := strings.CutPrefix(v, "OCI_ROOT="); ok {
			store = name
		}
	}
	for i := range 12 {
		cmd := exec.Command(oci, "repack", "-q", root, "new")
		cmd.Env = env
		check(t, cmd.Start())
		time.Sleep(time.Duration(i) * 40 * time.Millisecond)
		_ = cmd.Process.Kill()
		done := cmd.Wait() == nil
		run(t, env, "oci", "check")
		if _, err := try(t, env, "oci", "digest", "store:new"); done && err != nil {
			t.Errorf("it ended well, and the name is not there: %v", err)
		}
		left, err := filepath.Glob(filepath.Join(store, ".layer*"))
		check(t, err)
		if len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	run(t, env, "oci", "repack", "-q", root, "new")
	run(t, env, "oci", "unpack", "-q", "new", filepath.Join(dir, "back"))
	if d := tartest.Diff(treeOf(t, filepath.Join(dir, "back")), treeOf(t, root)); len(d) > 0 {
		t.Errorf("the image has another tree:\n%s", strings.Join(d, "\n"))
	}
}

// TestMtree_gomtree: go-mtree finds an unpacked root file system to be what the manifest of its image says, and what
// the one of the directory says; and it finds every kind of change.
func TestMtree_gomtree(t *testing.T) {
	program(t, "gomtree")
	env := home(t)
	layout := prepared(t, env)
	root, out := repacked(t, env, layout) // a tree with odd files
	run(t, env, "oci", "copy", "-q", "oci:"+out+":new", "store:new")
	check(t, os.Symlink("é \\\t*", filepath.Join(root, "etc", "#odd [name]\n\xff\\")))
	run(t, env, "oci", "repack", "-q", root, "new")
	dir := filepath.Join(t.TempDir(), "unpacked")
	run(t, env, "oci", "unpack", "-q", "new", dir)
	for name, manifest := range map[string]string{"image": run(t, env, "oci", "mtree", "new"), "directory": run(t, env, "oci", "mtree", dir)} {
		file := filepath.Join(t.TempDir(), "m")
		check(t, os.WriteFile(file, []byte(manifest+"\n"), 0o600))
		if out, err := try(t, env, "gomtree", "validate", "-p", dir, "-f", file); err != nil || out != "" {
			t.Errorf("%s: gomtree: %v\n%s", name, err, out)
		}
		for what, change := range mutations(dir) {
			undo := change(t)
			// Of a path too many or too few it tells, with status 0.
			if out, err := try(t, env, "gomtree", "validate", "-p", dir, "-f", file); err == nil && out == "" {
				t.Errorf("%s: gomtree does not see a change: %s", name, what)
			}
			undo()
		}
	}
}

// mutations are changes of a tree, each of which undoes itself.
func mutations(dir string) map[string]func(*testing.T) func() {
	motd := filepath.Join(dir, "etc", "motd")
	times := func(t *testing.T, name string) func() {
		info, err := os.Stat(name)
		check(t, err)
		return func() { check(t, os.Chtimes(name, info.ModTime(), info.ModTime())) }
	}
	return map[string]func(*testing.T) func(){
		"mode": func(t *testing.T) func() {
			check(t, os.Chmod(motd, 0o600))
			return func() { check(t, os.Chmod(motd, 0o755)) }
		},
		"owner": func(t *testing.T) func() {
			check(t, os.Chown(motd, 5, 5))
			return func() { check(t, os.Chown(motd, 0, 0)) }
		},
		"xattr": func(t *testing.T) func() {
			check(t, unix.Setxattr(motd, "user.y", []byte("1"), 0))
			return func() { check(t, unix.Removexattr(motd, "user.y")) }
		},
		"content": func(t *testing.T) func() {
			undo := times(t, motd)
			old, err := os.ReadFile(motd)
			check(t, err)
			check(t, os.WriteFile(motd, append([]byte{old[0] ^ 1}, old[1:]...), 0o644))
			undo()
			return func() { check(t, os.WriteFile(motd, old, 0o644)); undo() }
		},
		"extra": func(t *testing.T) func() {
			undo := times(t, filepath.Join(dir, "etc"))
			name := filepath.Join(dir, "etc", "extra")
			check(t, os.WriteFile(name, nil, 0o644))
			undo()
			return func() { check(t, os.Remove(name)); undo() }
		},
		"missing": func(t *testing.T) func() {
			undo := times(t, filepath.Join(dir, "etc"))
			name := filepath.Join(dir, "etc", "new file")
			check(t, os.Rename(name, filepath.Join(dir, "..", "kept")))
			undo()
			return func() { check(t, os.Rename(filepath.Join(dir, "..", "kept"), name)); undo() }
		},
	}
}

// TestMtree_umoci: umoci takes a bundle of this program's for one of its own: an untouched one gives no layer, as its own
// does, and a changed one a layer of what was changed.
func TestMtree_umoci(t *testing.T) {
	env := home(t)
	prepared(t, env)
	dir := t.TempDir()
	b, out := filepath.Join(dir, "bundle"), filepath.Join(dir, "layout")
	run(t, env, "oci", "bundle", "-q", "prepared", b)
	run(t, env, "oci", "mtree", "--umoci", b)
	run(t, env, "oci", "copy", "-q", "store:prepared", "oci:"+out+":base")
	run(t, env, "umoci", "repack", "--image", out+":same", b)
	var stat struct {
		History []struct {
			EmptyLayer bool `json:"empty_layer"`
		} `json:"history"`
	}
	if err := json.Unmarshal([]byte(run(t, env, "umoci", "stat", "--json", "--image", out+":same")), &stat); err != nil {
		t.Fatal(err)
	}
	if n := len(stat.History); n == 0 || !stat.History[n-1].EmptyLayer {
		t.Errorf("umoci finds changes in an untouched bundle: %+v", stat)
	}
	check(t, os.WriteFile(filepath.Join(b, "rootfs", "etc", "motd"), []byte("other"), 0o755))
	check(t, os.Remove(filepath.Join(b, "rootfs", "usr", "share", "doc", "c")))
	run(t, env, "umoci", "repack", "--image", out+":changed", b)
	want := []string{"etc/motd", "usr/share/doc", "usr/share/doc/.wh.c"}
	if got := layerNames(t, out, "changed"); !slices.Equal(got, want) {
		t.Errorf("umoci's layer has %q, want %q", got, want)
	}
}
