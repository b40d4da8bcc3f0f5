package convert

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/cdi"
	"github.com/oci-pipeline/oci/bundle/origin"
)

func cdiDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"v.json": `{"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "d", "containerEdits": {"env": ["PATH=/v", "V=1"],
			"deviceNodes": [{"path": "/dev/v", "type": "c", "major": 250, "minor": 1, "permissions": "rw"}],
			"mounts": [{"hostPath": "/lib/v", "containerPath": "/opt/v", "options": ["ro", "rbind"]}], "hooks": [{"hookName": "createContainer", "path": "/bin/v"}]}}]}`,
		"gpu.yaml": "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: 0\n  containerEdits: {env: [GPU0=1]}\n- name: 1\n  containerEdits: {env: [GPU1=1]}\n- name: all\n  containerEdits: {env: [GPUS=all]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCDIDevice(t *testing.T) {
	o := plain()
	o.Devices, o.CDISpecDirs = []string{"v.com/c=d"}, []string{cdiDir(t)}
	s, marks, err := SpecWithOrigins(testImage(), testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	rules := s.Linux.Resources.Devices
	if last := rules[len(rules)-1]; len(s.Linux.Devices) != 1 || *last.Major != 250 || last.Access != "rw" || len(s.Hooks.CreateContainer) != 1 ||
		!slices.Contains(s.Process.Env, "PATH=/v") || slices.Contains(s.Process.Env, "PATH=/bin") || !mountsAt(s.Mounts, "/opt/v") {
		t.Errorf("got %+v, %+v, %q, %+v", s.Linux.Devices, last, s.Process.Env, s.Mounts)
	}
	want := origin.Mark{Pointer: "/hooks/createContainer/0", Kind: origin.Flag, Name: "--device"}
	if !slices.Contains(marks, want) {
		t.Errorf("no mark %+v in %+v", want, marks)
	}
	o.Rootless, o.UIDMappings, o.GIDMappings = true, []specs.LinuxIDMapping{{Size: 1}}, []specs.LinuxIDMapping{{Size: 1}}
	o.User = "0"
	if s := mustSpec(t, testImage(), o); s.Linux.Resources != nil && len(s.Linux.Resources.Devices) != 0 {
		t.Errorf("rules without root: %+v", s.Linux.Resources)
	}
}

// TestRenamedDeviceInUserNamespace: a runtime would look for the host's node at the path of the container.
func TestRenamedDeviceInUserNamespace(t *testing.T) {
	dir := t.TempDir()
	text := `{"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "d", "containerEdits": {"deviceNodes": [{"path": "/dev/b", "hostPath": "/dev/full"}, {"path": "/dev/random"}]}}]}`
	if err := os.WriteFile(filepath.Join(dir, "v.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := plain()
	o.User, o.Devices, o.CDISpecDirs = "0", []string{"/dev/zero:/dev/a:r", "/dev/null", "v.com/c=d"}, []string{dir}
	s := mustSpec(t, testImage(), o)
	if len(s.Linux.Devices) != 4 {
		t.Errorf("got %+v", s.Linux.Devices)
	}
	o.Userns, o.UIDMappings, o.GIDMappings = "private", []specs.LinuxIDMapping{{HostID: 1000, Size: 65536}}, []specs.LinuxIDMapping{{HostID: 1000, Size: 65536}}
	s, marks, err := SpecWithOrigins(testImage(), testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range s.Linux.Devices {
		names = append(names, d.Path)
	}
	if !slices.Equal(names, []string{"/dev/null", "/dev/random"}) {
		t.Errorf("devices: %q", names)
	}
	last := s.Mounts[len(s.Mounts)-2:]
	if last[0].Destination != "/dev/a" || last[0].Source != "/dev/zero" || last[1].Destination != "/dev/b" || last[1].Source != "/dev/full" {
		t.Errorf("mounts: %+v", last)
	}
	if want := (origin.Mark{Pointer: origin.At("/mounts", len(s.Mounts)-2), Kind: origin.Flag, Name: "--device"}); !slices.Contains(marks, want) {
		t.Errorf("no mark %+v", want)
	}
}

func TestCDIEdit(t *testing.T) {
	s := bundle.DefaultSpec()
	s.Linux.Resources = nil
	o := Options{Host: testHost(), Devices: []string{"v.com/c=d"}, CDISpecDirs: []string{cdiDir(t)}}
	for range 2 { // the second time changes nothing
		if err := Edit(s, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Linux.Devices) != 1 || len(s.Linux.Resources.Devices) != 1 || s.Process.Env[0] != "PATH=/v" {
		t.Errorf("got %+v", s.Linux)
	}
}

func TestGPUs(t *testing.T) {
	for value, want := range map[string]string{
		"all": "GPUS=all", "-1": "GPUS=all", "1": "GPU0=1", "2": "GPU0=1 GPU1=1", "device=1": "GPU1=1", `"device=1,0"`: "GPU1=1 GPU0=1",
		"count=1,driver=nvidia": "GPU0=1", "device=all": "GPUS=all", "device=0": "GPU0=1",
		"": "", "0": "", "some": "", "3": "", "257": "", "device=": "", "device=2": "", "device=/dev/x": "", "driver=amd": "", "all,capabilities=utility": "", "x=1": "", "1,device=0": "",
		"device=0,device=1": "", `"`: "",
	} {
		o := plain()
		o.GPUs, o.CDISpecDirs = []string{value}, []string{cdiDir(t)}
		s, err := Spec(testImage(), testRoot(), o)
		if want == "" {
			if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--gpus ") {
				t.Errorf("%q: %v", value, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		got := slices.DeleteFunc(s.Process.Env, func(v string) bool { return !strings.HasPrefix(v, "GPU") })
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %s", value, got, want)
		}
	}
}

func TestCDIErrors(t *testing.T) {
	for value, want := range map[string]error{"v.com/c=none": cdi.ErrNoDevice, "v.com/c=": cdi.ErrName, "v.com=d": cdi.ErrName, "host": nil} {
		o := plain()
		o.Devices, o.CDISpecDirs = []string{value}, []string{cdiDir(t)}
		_, err := Spec(testImage(), testRoot(), o)
		if !errors.Is(err, ErrUsage) || want != nil && !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "--device ") {
			t.Errorf("%q: %v", value, err)
		}
	}
}
