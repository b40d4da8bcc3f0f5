package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// rootlessLayers need more than a user namespace with one id has.
func rootlessLayers(blobs tartest.Blobs) []image.Layer {
	return []image.Layer{
		blobs.Layer(dir("d"), file("d/f", "x"), tartest.Entry{Name: "suid", Mode: 0o4755, UID: 0},
			tartest.Entry{Name: "cap", PAX: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}}),
		blobs.Layer(gone("d/f"), tartest.Entry{Name: "d/n", UID: 0}),
	}
}

// TestRootlessChild is what TestRootless runs in a user namespace.
func TestRootlessChild(t *testing.T) {
	base := os.Getenv("OCI_TEST_ROOTLESS")
	if base == "" {
		t.Skip("it is run by TestRootless")
	}
	blobs := tartest.Blobs{}
	layers := rootlessLayers(blobs)
	if _, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(base, "plain"), unpack.Options{}); err != nil {
		t.Errorf("ids that there are: %v", err)
	}
	others := []image.Layer{blobs.Layer(tartest.Entry{Name: "f", UID: 33, GID: 33})}
	_, err := unpack.Unpack(t.Context(), others, blobs, filepath.Join(base, "others"), unpack.Options{})
	if !errors.Is(err, unpack.ErrOwner) || !strings.Contains(err.Error(), `"f"`) || !strings.Contains(err.Error(), "uid 33") || !strings.Contains(err.Error(), "/etc/subuid") {
		t.Errorf("H-33 an id that there is not: %v", err)
	}
	if _, err := unpack.Unpack(t.Context(), others, blobs, filepath.Join(base, "single"), unpack.Options{SingleID: true}); err != nil {
		t.Errorf("single id: %v", err)
	}
	device := []image.Layer{blobs.Layer(tartest.Entry{Name: "null", Type: '3', Major: 1, Minor: 3}, file("f", ""))}
	if _, err := unpack.Unpack(t.Context(), device, blobs, filepath.Join(base, "dev"), unpack.Options{}); !errors.Is(err, unpack.ErrDevice) {
		t.Errorf("H-30 device: %v", err)
	}
	var log bytes.Buffer
	o := unpack.Options{Devices: unpack.DeviceSkip, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := unpack.Unpack(t.Context(), device, blobs, filepath.Join(base, "dev"), o); err != nil || !strings.Contains(log.String(), "device") {
		t.Errorf("H-30 device skipped: %v, %s", err, log.String())
	}
	for i, layer := range layers {
		dir := filepath.Join(base, fmt.Sprint("layer", i))
		os.Mkdir(dir, 0o755)
		root, err := unpack.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, unpack.Options{UserXattr: true}); err != nil {
			t.Errorf("H-26 overlay form: %v", err)
		}
		root.Close()
	}
}

// TestRootless unpacks in a user namespace with one id.
func TestRootless(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	for dir := base; dir != "/"; dir = filepath.Dir(dir) {
		if dir != os.TempDir() && strings.HasPrefix(dir, os.TempDir()) {
			os.Chmod(dir, 0o755)
		}
	}
	if err := os.Chown(base, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(base, "test")
	raw, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(exe, raw, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestRootlessChild$", "-test.v")
	cmd.Dir = base
	cmd.Env = append(os.Environ(), "OCI_TEST_ROOTLESS="+base, "TMPDIR="+base)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, Credential: &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true},
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		if strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("no user namespaces here: %v", err)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestRootlessChild") {
		t.Errorf("%s", out)
	}
	nodes := tree(t, filepath.Join(base, "plain"))
	if n := nodes["suid"]; n.UID != 65534 || n.Mode != 0o4755 {
		t.Errorf("suid: %s", n)
	}
	if nodes["cap"].Xattrs["security.capability"] == "" {
		t.Error("the file capability was lost")
	}
	whiteout := tree(t, filepath.Join(base, "layer1"))["d/f"]
	if whiteout.Type != "char" || whiteout.Rdev != 0 {
		t.Errorf("the whiteout is %s", whiteout)
	}
}
