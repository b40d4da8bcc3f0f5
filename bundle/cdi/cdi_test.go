package cdi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/hooks"
)

func write(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// file is a spec of one device with these edits.
func file(version, edits string) string {
	return `{"cdiVersion": "` + version + `", "kind": "v.com/c", "devices": [{"name": "d", "containerEdits": {` + edits + `}}]}`
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"nvidia.com/gpu=all": true, "v.com/c=0": true, "vendor/c_1.x=a:b-c": true, "a/b=c": true,
		"v.com/c": false, "/dev/null": false, "v.com/c=": false, "v.com/=d": false, "/c=d": false, "v.com/c=d:": false, "0v.com/c=d": false,
		"v.com/c/e=d": false, "v.com-/c=d": false, "v.com/c=d=e": false, "v.com/c=ü": false, "=": false, "": false,
	} {
		if IsName(name) != want {
			t.Errorf("%q: not %v", name, want)
		}
	}
	if n, err := ParseName("v.com/c=d"); err != nil || n.String() != "v.com/c=d" {
		t.Error(n, err)
	}
}

// TestVersions: a field newer than the version that the file claims is an error, and at that version it is none.
func TestVersions(t *testing.T) {
	for _, tt := range []struct{ since, text string }{
		{"0.3.0", `"env": ["A=1"]`},
		{"0.4.0", `"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "bind"}]`},
		{"0.5.0", `"deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/null"}]`},
		{"0.7.0", `"intelRdt": {"closID": "a"}`},
		{"0.7.0", `"additionalGids": [5]`},
		{"1.1.0", `"intelRdt": {"enableMonitoring": true}`},
		{"1.1.0", `"netDevices": [{"hostInterfaceName": "eth0", "name": "net0"}]`},
	} {
		all := []string{"0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"}
		for i, v := range all {
			_, err := Decode([]byte(file(v, tt.text)))
			if ok := i >= slices.Index(all, tt.since); ok != (err == nil) || !ok && !errors.Is(err, ErrVersion) {
				t.Errorf("%s in %s: %v", tt.text, v, err)
			}
		}
	}
	for _, text := range []string{
		file("0.2.0", `"env": ["A=1"]`), file("1.2.0", `"env": ["A=1"], "later": {}`), file("x", `"env": ["A=1"]`),
		strings.Replace(file("0.5.0", `"env": ["A=1"]`), "v.com/c", "v.com/c.d", 1), strings.Replace(file("0.4.0", `"env": ["A=1"]`), `"d"`, `"0"`, 1),
		strings.Replace(file("0.5.0", `"env": ["A=1"]`), `"kind"`, `"annotations": {"a": "b"}, "kind"`, 1),
	} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		text string
		err  error
		at   string
	}{
		{file("1.1.0", ``), bundle.ErrMissing, "/devices/0/containerEdits: "},
		{file("1.1.0", `"env": ["A"]`), bundle.ErrInvalid, "/devices/0/containerEdits/env/0: "},
		{file("1.1.0", `"env": "A=1"`), bundle.ErrType, "/devices/0/containerEdits/env: "},
		{file("1.1.0", `"envs": ["A=1"]`), ErrUnknown, "/devices/0/containerEdits/envs: "},
		{file("1.1.0", `"deviceNodes": [{"path": "/a", "hostpath": "/b"}]`), ErrUnknown, "/devices/0/containerEdits/deviceNodes/0/hostpath: "},
		{file("1.1.0", `"deviceNodes": [null]`), bundle.ErrInvalid, "/devices/0/containerEdits/deviceNodes/0: "},
		{file("1.1.0", `"deviceNodes": [{"hostPath": "/b"}]`), bundle.ErrMissing, "/devices/0/containerEdits/deviceNodes/0/path: "},
		{file("1.1.0", `"deviceNodes": [{"path": "/b", "type": "d"}]`), bundle.ErrInvalid, "deviceNodes/0/type: "},
		{file("1.1.0", `"deviceNodes": [{"path": "/b", "major": -1}]`), bundle.ErrInvalid, "deviceNodes/0/major: "},
		{file("1.1.0", `"deviceNodes": [{"path": "/b", "permissions": "rx"}]`), bundle.ErrInvalid, "deviceNodes/0/permissions: "},
		{file("1.1.0", `"hooks": [{"hookName": "precreate", "path": "/b"}]`), hooks.ErrStage, "hooks/0/hookName: "},
		{file("1.1.0", `"hooks": [{"hookName": "prestart", "path": "b"}]`), bundle.ErrInvalid, "hooks/0/path: "},
		{file("1.1.0", `"hooks": [{"hookName": "prestart", "path": "/b", "timeout": 0}]`), bundle.ErrInvalid, "hooks/0/timeout: "},
		{file("1.1.0", `"hooks": [{"hookName": "prestart", "path": "/b", "env": ["=x"]}]`), bundle.ErrInvalid, "hooks/0/env/0: "},
		{file("1.1.0", `"mounts": [{"hostPath": "/b"}]`), bundle.ErrMissing, "mounts/0/containerPath: "},
		{file("1.1.0", `"intelRdt": {"closID": "a/b"}`), bundle.ErrInvalid, "intelRdt/closID: "},
		{file("1.1.0", `"intelRdt": {"closID": "a", "enableCMT": true}`), ErrUnknown, "intelRdt/enableCMT: "},
		{file("1.1.0", `"additionalGids": [-1]`), bundle.ErrType, "additionalGids/0: "},
		{file("1.1.0", `"netDevices": [{"hostInterfaceName": "a", "name": ""}]`), bundle.ErrMissing, "netDevices/0/name: "},
		{file("1.1.0", `"netDevices": [{"hostInterfaceName": "a", "name": "x"}, {"hostInterfaceName": "b", "name": "x"}]`), bundle.ErrDuplicate, "netDevices/1/name: "},
		{`{"cdiVersion": "1.0.0", "kind": "v.com", "devices": []}`, ErrName, "/kind: "},
		{`{"cdiVersion": "1.0.0", "kind": "v.com/c", "devices": []}`, bundle.ErrMissing, "/devices: "},
		{`{"cdiVersion": "1.0.0", "kind": "v.com/c", "devices": [{"name": "d_"}]}`, ErrName, "/devices/0/name: "},
		{`{"kind": "v.com/c"}`, bundle.ErrMissing, "/cdiVersion: "},
		{`{"cdiVersion": "1.0.0", "cdiVersion": "1.0.0"}`, bundle.ErrDuplicateKey, ""},
		{`{`, bundle.ErrSyntax, ""},
		{`null`, bundle.ErrMissing, "/cdiVersion: "},
	} {
		_, err := Decode([]byte(tt.text))
		if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.at) {
			t.Errorf("%s: got %v, want %v at %s", tt.text, err, tt.err, tt.at)
		}
	}
	if _, err := Decode([]byte(`{"cdiVersion":"1.0.0","kind":"v.com/c","devices":[{"name":"d","containerEdits":{"env":["A=1"]}},{"name":"d","containerEdits":{"env":["A=1"]}}]}`)); !errors.Is(err, bundle.ErrDuplicate) {
		t.Errorf("a device twice: %v", err)
	}
}

// TestYAML reads what nvidia-ctk writes: numbers where the field is one, and texts that look like numbers where it is none.
func TestYAML(t *testing.T) {
	s, err := DecodeYAML([]byte(`---
cdiVersion: 0.7.0
kind: nvidia.com/gpu
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - create-symlinks
    - --link
    - ../libnvidia-allocator.so.1::/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /usr/bin/nvidia-smi
    hostPath: /usr/bin/nvidia-smi
    options:
    - ro
    - nosuid
    - nodev
    - bind
  additionalGids: [44]
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      fileMode: 0666
      major: 195
      minor: 0x1
      uid: 0
  name: 0
- name: "all"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
`))
	if err != nil {
		t.Fatal(err)
	}
	n := s.Devices[0].ContainerEdits.DeviceNodes[0]
	if s.Version != "0.7.0" || s.Devices[0].Name != "0" || *n.FileMode != 0o666 || n.Major != 195 || n.Minor != 1 || *n.UID != 0 ||
		!slices.Equal(s.ContainerEdits.AdditionalGIDs, []uint32{44}) || len(s.ContainerEdits.Hooks[0].Args) != 4 {
		t.Errorf("got %+v, %+v", s, n)
	}
	for text, want := range map[string]error{
		"cdiVersion: 1.0.0\nkind: |\n  v.com/c\n": ErrYAML,
		"cdiVersion: 1.0.0\nkind: v.com/c\ndevices:\n- name: d\n  containerEdits:\n    deviceNodes:\n    - path: /a\n      major: many\n": bundle.ErrType,
		"cdiVersion: 1.0.0\nkind: v.com/c\ndevices: {a: b}\n":                                                                             bundle.ErrType,
		"- a\n": bundle.ErrType,
		"":      bundle.ErrMissing,
		"cdiVersion: 1.0.0\nkind: v.com/c\nname: d\n": ErrUnknown,
	} {
		if _, err := DecodeYAML([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

func env(t *testing.T, r *Registry, names ...string) (string, error) {
	t.Helper()
	var list []Name
	for _, n := range names {
		name, err := ParseName(n)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	e, err := r.Find(list...)
	if err != nil {
		return "", err
	}
	s := &specs.Spec{}
	_, err = e.Apply(s, true)
	return strings.Join(s.Process.Env, " "), err
}

func TestPriorityAndConflicts(t *testing.T) {
	of := func(from string) string { return file("0.3.0", `"env": ["FROM=`+from+`"]`) }
	dir := write(t, t.TempDir(), map[string]string{
		"first/a.json": of("first"), "first/b.json": strings.Replace(of("b"), `"d"`, `"twice"`, 1), "first/c.json": strings.Replace(of("c"), `"d"`, `"twice"`, 1),
		"second/x.json": of("second"), "second/none.txt": "{", "broken/x.yaml": "cdiVersion: 0.3.0\nkind: v.com/c\n", "other/x.json": `{"kind": "v.com/other"}`,
	})
	at := func(names ...string) *Registry {
		var dirs []string
		for _, n := range names {
			dirs = append(dirs, filepath.Join(dir, n))
		}
		r, err := Load(dirs...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, tt := range []struct {
		dirs string
		want string
		err  error
	}{
		{"first second", "FROM=second", nil},
		{"second first", "FROM=first", nil},
		{"first nowhere other", "FROM=first", nil},
		{"first broken", "", bundle.ErrMissing}, // it may be what stands for the other
		{"broken first", "FROM=first", nil},
		{"other nowhere", "", ErrNoDevice},
	} {
		if got, err := env(t, at(strings.Fields(tt.dirs)...), "v.com/c=d"); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %q, %v", tt.dirs, got, err)
		}
	}
	_, err := env(t, at("first"), "v.com/c=twice")
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "b.json") || !strings.Contains(err.Error(), "c.json") {
		t.Errorf("two files of a directory: %v", err)
	}
	if _, err := env(t, at("other"), "v.com/other=d"); !strings.Contains(err.Error(), "x.json: /cdiVersion: ") {
		t.Errorf("the broken file is not named: %v", err)
	}
	link := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", link); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(link); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that cannot be read: %v", err)
	}
}

func TestApplySaysWhatItSet(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a.json": `{"cdiVersion": "1.1.0", "kind": "v.com/c", "containerEdits": {"env": ["B=all"]}, "devices": [
		{"name": "d", "containerEdits": {"env": ["A=1", "C=2"], "deviceNodes": [{"path": "/dev/null", "permissions": "none"}, {"path": "/dev/v", "hostPath": "/dev/zero"}, {"path": "/pipe", "type": "p"}],
			"mounts": [{"hostPath": "/a", "containerPath": "/proc/x/y"}, {"hostPath": "/a", "containerPath": "/m"}], "hooks": [{"hookName": "poststop", "path": "/bin/true"}],
			"netDevices": [{"hostInterfaceName": "eth/0", "name": "net0"}], "additionalGids": [0, 5, 7], "intelRdt": {"closID": "x"}}}]}`})
	r, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Find(Name{"v.com/c", "d"}, Name{"v.com/c", "d"})
	if err != nil {
		t.Fatal(err)
	}
	s := &specs.Spec{
		Process: &specs.Process{Env: []string{"A=0", "X=0"}, User: specs.User{UID: 9, AdditionalGids: []uint32{5}}},
		Mounts:  []specs.Mount{{Destination: "/proc"}, {Destination: "/dev/pts"}, {Destination: "/m/n"}, {Destination: "/m/"}},
		Linux:   &specs.Linux{Devices: []specs.LinuxDevice{{Path: "/dev/v"}, {Path: "/dev/old"}}},
	}
	got, err := e.Apply(s, true)
	want := []string{
		"/process/env/2", "/process/env/0", "/process/env/3", "/linux/resources/devices/0", "/linux/devices/1", "/linux/devices/2", "/linux/devices/3",
		"/linux/netDevices/eth~10", "/mounts/4", "/mounts/1", "/hooks/poststop/0", "/linux/intelRdt", "/process/user/additionalGids/1",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: got %q, want %q", err, got, want)
	}
	if d := s.Linux.Devices; len(d) != 4 || d[1].Path != "/dev/null" || *d[2].UID != 9 || d[2].GID != nil || d[2].Major != 1 || d[2].Minor != 5 || d[3].Type != "p" {
		t.Errorf("devices: %+v", d)
	}
	if m := s.Mounts; len(m) != 5 || m[1].Source != "/a" || m[4].Destination != "/proc/x/y" {
		t.Errorf("mounts: %+v", m)
	}
	var missing *Error
	e.all.DeviceNodes[0].Path = "/dev/nowhere"
	if _, err := e.Apply(s, false); !errors.As(err, &missing) || missing.Subject != "/dev/nowhere" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	e.all.DeviceNodes[0].Path, e.all.DeviceNodes[0].Type = "/dev/null", "b"
	if _, err := e.Apply(s, false); !errors.Is(err, bundle.ErrInvalid) {
		t.Errorf("a node of another type: %v", err)
	}
}

// FuzzDecode: whatever the bytes are, they are refused with a problem, or can be applied without a device of the host.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(file("1.1.0", `"env": ["A=1"], "hooks": [{"hookName": "prestart", "path": "/b"}], "mounts": [{"hostPath": "a", "containerPath": "b"}], "intelRdt": {}`)))
	f.Add([]byte(file("0.5.0", `"deviceNodes": [{"path": "/b", "type": "p"}, null], "netDevices": [null]`)))
	f.Add([]byte("cdiVersion: 0.3.0\nkind: v.com/c\ndevices:\n- name: d\n  containerEdits: {env: [A=1]}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, decode := range []func([]byte) (*cdispec.Spec, error){Decode, DecodeYAML} {
			s, err := decode(raw)
			var p *bundle.Problem
			if err != nil && !errors.As(err, &p) {
				t.Fatalf("%v is no problem", err)
			}
			if err != nil {
				continue
			}
			var e Edits
			e.add(&s.ContainerEdits)
			for i := range s.Devices {
				e.add(&s.Devices[i].ContainerEdits)
			}
			e.all.DeviceNodes = nil
			config := &specs.Spec{}
			pointers, err := e.Apply(config, true)
			if err != nil || slices.Contains(pointers, "") {
				t.Errorf("%q: %v", pointers, err)
			}
		}
	})
}
