package cdi_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/cdi"
)

// podmanFiles are in versions that podman 4.3 knows.
func podmanFiles() map[string]string {
	return map[string]string{
		"etc/cdi/one.json": `{
			"cdiVersion": "0.5.0", "kind": "vendor.example/class",
			"containerEdits": {"env": ["ALL=1"], "mounts": [{"hostPath": "/usr/share/doc", "containerPath": "/usr/share/vendor", "options": ["ro", "bind"]}]},
			"devices": [
				{"name": "a", "containerEdits": {"env": ["A=1"], "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/null"}, {"path": "/dev/zero", "permissions": "r"}],
					"hooks": [{"hookName": "createContainer", "path": "/bin/true", "args": ["true", "a"], "env": ["X=y"]}, {"hookName": "prestart", "path": "/bin/true", "timeout": 5}]}},
				{"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/whole", "type": "c", "major": 250, "minor": 7, "fileMode": 432, "uid": 3, "gid": 4}],
					"mounts": [{"hostPath": "/tmp", "containerPath": "/shown", "options": ["rbind", "rw"]}, {"hostPath": "tmpfs", "containerPath": "/scratch", "type": "tmpfs", "options": ["size=1m"]}]}}
			]}`,
		"etc/cdi/replaced.yaml": "cdiVersion: 0.3.0\nkind: other.example/net\ndevices:\n- name: card\n  containerEdits:\n    env: [FROM=etc]\n",
		"run/cdi/replaces.yaml": "---\n# of this start of the machine\ncdiVersion: 0.5.0\nkind: \"other.example/net\"\ndevices:\n  - name: card\n    containerEdits:\n" +
			"      env:\n      - FROM=run\n      deviceNodes:\n      - {path: /dev/card, hostPath: /dev/full, fileMode: 0600, type: c}\n",
		"etc/cdi/broken.json": `{"cdiVersion": "0.5.0", "kind": "broken.example/class", "devices": [{}]}`,
	}
}

// podmanConfigs lets podman make two containers, without devices and with them, and gives their configs with the same ids in both. The
// directories of CDI are those of a mount namespace of its own, and what podman leaves running ends with the pid namespace.
func podmanConfigs(t *testing.T, devices ...string) (without, with specs.Spec, dir string) {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and podman, whose result is the measure")
	}
	dir = t.TempDir()
	files := podmanFiles()
	files["rootfs/bin/sh"] = ""
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := `
		mount -t tmpfs none /run && cp -r "$1/run/cdi" /run/ || exit
		mkdir "$1/etc.up" "$1/etc.work" && mkdir "$1/etc.up/cdi" && cp "$1"/etc/cdi/* "$1/etc.up/cdi/" || exit
		mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc.up,workdir=$1/etc.work" none /etc || exit
		P="podman --root $1/store --runroot $1/runroot --storage-driver vfs --cgroup-manager cgroupfs --events-backend none"
		for n in without with; do
			devices=; [ $n = without ] || devices=$2
			id=$($P create --network none --user 5:6 $devices --rootfs "$1/rootfs" /bin/sh) || exit
			$P init $id >/dev/null 2>&1 # whether the runtime then starts it is not asked
			sed "s/$id/ID/g; s/$(echo $id | cut -c1-12)/ID/g" "$1"/store/*-containers/$id/userdata/config.json >"$1/$n.json" || exit
			$P rm -f $id >/dev/null
		done`
	flags := "--device=" + strings.Join(devices, " --device=")
	out, err := exec.Command("unshare", "-mpf", "--mount-proc", "sh", "-c", script, "sh", dir, flags).CombinedOutput()
	if err != nil {
		t.Skipf("podman makes no container here: %v: %s", err, out)
	}
	for name, s := range map[string]*specs.Spec{"without": &without, "with": &with} {
		raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err == nil {
			err = json.Unmarshal(raw, s)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return without, with, dir
}

// TestPodmanMakesTheSame applies the edits to what podman writes without the devices, and compares the whole with what it writes with them.
func TestPodmanMakesTheSame(t *testing.T) {
	devices := []string{"vendor.example/class=a", "other.example/net=card", "vendor.example/class=1"}
	without, with, dir := podmanConfigs(t, devices...)
	r, err := cdi.Load(filepath.Join(dir, "etc/cdi"), filepath.Join(dir, "run/cdi"))
	if err != nil {
		t.Fatal(err)
	}
	var names []cdi.Name
	for _, d := range devices {
		n, err := cdi.ParseName(d)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	e, err := r.Find(names...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(&without, true); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*specs.Spec{&with, &without} {
		// Podman gives its own mounts and variables in any order, and notes the time.
		slices.SortFunc(s.Mounts, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) })
		delete(s.Annotations, "io.kubernetes.cri-o.Created")
		s.Process.Env = slices.DeleteFunc(s.Process.Env, func(v string) bool { return v == "HOME=/" }) // added only with devices
		slices.Sort(s.Process.Env)
		for i := range s.Linux.Devices {
			if d := &s.Linux.Devices[i]; d.Path == "/dev/vendor0" || d.Path == "/dev/zero" {
				d.FileMode = nil // asked of the host since version 0.7 of the library, and podman 4.3 has 0.5
			}
		}
	}
	if diff := cmp.Diff(with, without); diff != "" {
		t.Errorf("podman -, oci +:\n%s", diff)
	}
}
