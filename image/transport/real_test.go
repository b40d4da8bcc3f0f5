package transport

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
)

// realImages gives the directory of layouts that were made from a distribution's packages.
func realImages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OCI_TEST_IMAGES")
	if dir == "" {
		t.Skip("OCI_TEST_IMAGES names no directory with image layouts")
	}
	if _, err := os.Stat(filepath.Join(dir, "busybox", "index.json")); err != nil {
		t.Skipf("no busybox layout below OCI_TEST_IMAGES: %v", err)
	}
	return dir
}

// tool runs a program of others, or skips the test if it is not installed.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestReal_layouts(t *testing.T) {
	dir := realImages(t)
	for _, c := range []struct {
		ref    string
		layers int
	}{{"oci:busybox:latest", 1}, {"oci:busybox:arm64", 1}, {"oci:busybox-list:latest", 1}} {
		kind, rest, _ := strings.Cut(c.ref, ":")
		place, tag, _ := strings.Cut(rest, ":")
		if _, err := os.Stat(filepath.Join(dir, place)); err != nil {
			t.Errorf("%v", err)
			continue
		}
		got := mustCopy(t, newStore(t), kind+":"+filepath.Join(dir, place)+":"+tag, CopyOptions{})
		if len(got.Image.Layers()) != c.layers || got.Image.Config().OS != "linux" {
			t.Errorf("%s: %+v", c.ref, got.Resolved)
		}
	}
}

func TestReal_artifacts(t *testing.T) {
	dir := filepath.Join(realImages(t), "artifacts")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no artifacts layout: %v", err)
	}
	for _, tag := range []string{"sbom", "signature", "attestations"} {
		mustCopy(t, newStore(t), "oci:"+dir+":"+tag, CopyOptions{All: true})
	}
}

// What skopeo writes can be read, and is the same image.
func TestReal_skopeo_writes(t *testing.T) {
	layoutDir := filepath.Join(realImages(t), "busybox")
	want := mustCopy(t, newStore(t), "oci:"+layoutDir+":amd64", CopyOptions{})
	tmp := t.TempDir()
	for _, dest := range []string{"oci:" + tmp + "/layout:x", "oci-archive:" + tmp + "/o.tar:x", "docker-archive:" + tmp + "/d.tar:example.org/busybox:x", "dir:" + tmp + "/dir"} {
		tool(t, "skopeo", "copy", "-q", "oci:"+layoutDir+":amd64", dest)
		got := mustCopy(t, newStore(t), dest, CopyOptions{Platform: want.Image.Config().Platform})
		if got.Image.Layers()[0].DiffID != want.Image.Layers()[0].DiffID {
			t.Errorf("%s: another image: %v", dest, got.Image.Layers())
		}
	}
}

// What we write is read by skopeo, umoci and podman, and the store itself by skopeo and umoci.
func TestReal_others_read(t *testing.T) {
	s := newStore(t)
	c := mustCopy(t, s, "oci:"+filepath.Join(realImages(t), "busybox")+":latest", CopyOptions{Platform: amd64})
	const name = "docker.io/library/busybox:latest"
	if err := s.Tag(t.Context(), name, c.Resolved.Root); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	dests := []string{"oci:" + tmp + "/layout:latest", "oci-archive:" + tmp + "/o.tar:latest", "docker-archive:" + tmp + "/d.tar:busybox:latest", "dir:" + tmp + "/dir"}
	for _, dest := range dests {
		if err := Export(t.Context(), s, c.Resolved.Root, mustParse(t, dest), ExportOptions{Platform: amd64}); err != nil {
			t.Fatal(err)
		}
	}
	for _, src := range append(dests, "oci:"+s.Root()+":"+name) {
		t.Run("skopeo "+strings.SplitN(src, ":", 2)[0], func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "copied")
			tool(t, "skopeo", "copy", "-q", "--override-arch", "amd64", "--override-os", "linux", src, "oci:"+out+":x")
			again := mustCopy(t, newStore(t), "oci:"+out+":x", CopyOptions{Platform: amd64})
			if again.Image.Layers()[0].DiffID != c.Image.Layers()[0].DiffID {
				t.Errorf("skopeo read another image")
			}
		})
	}
	t.Run("umoci", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("umoci unpack wants root")
		}
		bundle := filepath.Join(t.TempDir(), "bundle")
		tool(t, "umoci", "unpack", "--image", tmp+"/layout:latest", bundle)
		if _, err := os.Lstat(filepath.Join(bundle, "rootfs", "bin", "busybox")); err != nil {
			t.Error(err)
		}
	})
	t.Run("umoci lists the store", func(t *testing.T) {
		if out := tool(t, "umoci", "ls", "--layout", s.Root()); !strings.Contains(out, name) {
			t.Errorf("%s", out)
		}
	})
	t.Run("podman", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("podman wants root here")
		}
		root := t.TempDir()
		for _, file := range []string{"d.tar", "o.tar"} {
			out := tool(t, "podman", "--root", root+"/root", "--runroot", root+"/run", "--storage-driver", "vfs", "--events-backend", "none", "load", "-i", filepath.Join(tmp, file))
			if !strings.Contains(out, "Loaded image") {
				t.Errorf("%s", out)
			}
		}
	})
}

// A store that skopeo wrote into is still one, and holds what it put there.
func TestReal_skopeo_writes_into_the_store(t *testing.T) {
	dir := realImages(t)
	s := newStore(t)
	tool(t, "skopeo", "copy", "-q", "oci:"+filepath.Join(dir, "busybox")+":amd64", "oci:"+s.Root()+":theirs")
	mustBeValid(t, s)
	d, err := s.Resolve(t.Context(), "theirs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Image(t.Context(), d, amd64); err != nil {
		t.Error(err)
	}
	if !image.IsManifest(d.MediaType) {
		t.Errorf("%v", d)
	}
}
