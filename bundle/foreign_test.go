//go:build linux

package bundle

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLoadForeign: bundles that other tools make by default.
func TestLoadForeign(t *testing.T) {
	for _, tt := range []struct{ name, tool, script string }{
		{"runc spec", "runc", `cd "$1" && runc spec && mkdir rootfs`},
		{"runc spec --rootless", "runc", `cd "$1" && runc spec --rootless && mkdir rootfs`},
		{"crun spec", "crun", `cd "$1" && crun spec && mkdir rootfs`},
		{"crun spec --rootless", "crun", `cd "$1" && crun spec --rootless && mkdir rootfs`},
		{"umoci unpack", "umoci", `umoci init --layout "$1/l" && umoci new --image "$1/l:a" && umoci config --image "$1/l:a" --config.cmd sh && umoci unpack --rootless --image "$1/l:a" "$1/b" && mv "$1/b/"* "$1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.tool); err != nil {
				t.Skip("not installed: ", err)
			}
			dir := t.TempDir()
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", tt.script, "sh", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			b, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			// What we make of it is right too, and claims no newer version.
			again := filepath.Join(dir, "again")
			if err := Write(again, b.Spec); err != nil {
				t.Fatal(err)
			}
			if v := MinVersion(b.Spec); v != baseVersion {
				t.Errorf("%s needs version %s", tt.name, v)
			}
			if err := os.Mkdir(filepath.Join(again, "rootfs"), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(again); err != nil {
				t.Error(err)
			}
		})
	}
}
