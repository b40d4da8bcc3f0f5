package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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
	base := tartest.ChildDir(t)
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
	base := tartest.RunChild(t, "TestRootlessChild", 65534, tartest.Userns(65534, 1))
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
