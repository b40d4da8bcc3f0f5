//go:build linux

package convert

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/bundle"
)

// TestRealImages: real images, unpacked by umoci, with our config in place of umoci's, run as their
// config says under every peer.
func TestRealImages(t *testing.T) {
	images := os.Getenv("OCI_TEST_IMAGES")
	if images == "" || testing.Short() {
		t.Skip("OCI_TEST_IMAGES is not set, or -short: no real images")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: the runtimes make namespaces and cgroups")
	}
	for _, tt := range []struct {
		layout, tag string
		args        []string
		want        []string
	}{
		{"busybox", "amd64", []string{"sh", "-c", "echo $((6*7)); id -u; pwd"}, []string{"42\n0\n/\n"}},
	} {
		if _, err := os.Stat(filepath.Join(images, tt.layout)); err != nil {
			t.Log("not there: ", err)
			continue
		}
		img, ok := tagged(t, filepath.Join(images, tt.layout))[tt.tag]
		if !ok {
			t.Errorf("%s has no tag %s", tt.layout, tt.tag)
			continue
		}
		dir := t.TempDir()
		if out, err := exec.CommandContext(t.Context(), "umoci", "unpack", "--image", filepath.Join(images, tt.layout)+":"+tt.tag, dir+"/b").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		root, err := OpenRoot(dir + "/b/rootfs")
		must(t, err)
		defer root.Close()
		s, err := Spec(img, root, Options{Args: tt.args})
		must(t, err)
		must(t, bundle.Write(dir+"/b", s))
		for name, script := range peers() {
			t.Run(tt.layout+" "+name, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", script, "sh", dir, "real-"+tt.layout+"-"+name)
				cmd.WaitDelay = time.Second
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				wants(tt.want...)(t, string(out))
				t.Logf("%s", out)
			})
		}
	}
}
