package hooks_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/hooks"
)

// TestPodmanAddsTheSame lets podman read the same directories for the same container, and compares the hooks of config.json.
func TestPodmanAddsTheSame(t *testing.T) {
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and podman, whose reading is the measure")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"a/10-all.json":      `{"version":"1.0.0","hook":{"path":"/bin/true","args":["true","all"],"env":["A=1"],"timeout":3},"when":{"always":true},"stages":["prestart","createRuntime","createContainer","startContainer","poststart"]}`,
		"a/20-replaced.json": `{"version":"1.0.0","hook":{"path":"/bin/true","args":["replaced"]},"when":{"always":true},"stages":["prestart"]}`,
		"b/20-replaced.json": `{"version":"1.0.0","hook":{"path":"/bin/true","args":["stands"]},"when":{"always":true},"stages":["prestart"]}`,
		"a/05-LATE.json":     `{"version":"1.0.0","hook":{"path":"/bin/true","args":["LATE"]},"when":{"commands":["busy.*"]},"stages":["prestart"]}`,
		"b/05-early.json":    `{"version":"1.0.0","hook":{"path":"/bin/true","args":["early"]},"when":{"commands":["x","^/bin/busy"],"hasBindMounts":true},"stages":["prestart"]}`,
		"b/30-not.json":      `{"version":"1.0.0","hook":{"path":"/bin/true","args":["not"]},"when":{"commands":["^busy"],"always":true},"stages":["prestart"]}`,
		"b/31-not.json":      `{"version":"1.0.0","hook":{"path":"/bin/true","args":["not"]},"when":{"hasBindMounts":false},"stages":["prestart"]}`,
		"b/32-not.json":      `{"version":"1.0.0","hook":{"path":"/bin/true","args":["not"]},"when":{"annotations":{"^kind$":"^fluid$","^b$":"."}},"stages":["prestart"]}`,
		"b/33-not.json":      `{"version":"1.0.0","hook":{"path":"/bin/true","args":["not"]},"when":{},"stages":["prestart"]}`,
		"b/40-kind.json":     `{"version":"1.0.0","hook":{"path":"/bin/true","args":["kind"]},"when":{"annotations":{"^k":"^flu"}},"stages":["poststart"]}`,
		"b/50-old.json":      `{"hook":"/bin/true","arguments":["old"],"stage":["prestart"],"cmd":["nothing"],"annotation":["nothing","luid"]}`,
		"b/51-old-not.json":  `{"version":"0.1.0","hook":"/bin/true","stages":["prestart"],"cmds":["nothing"],"annotations":["nothing"]}`,
		"rootfs/bin/busybox": "", "shown/file": "", "b/notes.txt": "{",
	} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What podman leaves running, and has mounted, ends with the namespaces.
	script := `
		podman() { command podman --root "$1/store" --runroot "$1/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --hooks-dir "$1/a" --hooks-dir "$1/b" $2; }
		podman "$1" "create --name c --network none --annotation kind=fluid -v $1/shown:/shown --rootfs $1/rootfs /bin/busybox true" || exit
		podman "$1" "init c" # that the runtime then starts it is not asked for
		cp "$1"/store/*-containers/*/userdata/config.json "$1/config.json"`
	out, err := exec.Command("unshare", "-mpf", "--mount-proc", "sh", "-c", script, "sh", dir).CombinedOutput()
	if err != nil {
		t.Skipf("podman makes no container here: %v: %s", err, out)
	}
	raw, err := os.ReadFile(at("config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours specs.Spec
	if err := json.Unmarshal(raw, &theirs); err != nil {
		t.Fatal(err)
	}
	set, err := hooks.Load(at("a"), at("b"))
	if err != nil {
		t.Fatal(err)
	}
	set.For(hooks.Container{Command: "/bin/busybox", Annotations: map[string]string{"kind": "fluid"}, BindMounts: true}).AddTo(&ours, func(string) {})
	if diff := cmp.Diff(theirs.Hooks, ours.Hooks); diff != "" {
		t.Errorf("podman -, oci +:\n%s", diff)
	}
}
