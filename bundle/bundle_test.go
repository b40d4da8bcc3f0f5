package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// newBundle makes a bundle with the given config.
func newBundle(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const good = `{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0}}}`

func TestLoad(t *testing.T) {
	config := strings.TrimSuffix(good, "}") + `,"vendor.extension":{"kept":[1,2]}}` + "\n"
	dir := newBundle(t, config)
	b, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(b.Raw) != config {
		t.Errorf("Raw: %s", b.Raw)
	}
	if b.Dir != dir || b.Rootfs() != filepath.Join(dir, "rootfs") || b.Spec.Process.Args[0] != "sh" {
		t.Errorf("%+v", b)
	}
	t.Chdir(dir)
	if b, err := Load("."); err != nil || b.Dir != dir {
		t.Errorf("relative path: %v, %v", b.Dir, err)
	}
}

func TestLoadRoots(t *testing.T) {
	other := t.TempDir()
	for root, ok := range map[string]bool{
		"rootfs": true, "./rootfs": true, other: true, "../" + filepath.Base(other) + "/nosuch": false, "nosuch": false, ConfigName: false, "": false,
	} {
		dir := newBundle(t, strings.Replace(good, `"rootfs"`, `"`+root+`"`, 1))
		_, err := Load(dir)
		if ok != (err == nil) {
			t.Errorf("%q: %v", root, err)
		}
		var p *Problem
		if err != nil && (!errors.As(err, &p) || p.Pointer != "/root/path" || p.Clause != spec.BundleRoot) {
			t.Errorf("%q: %v", root, err)
		}
	}
}

// TestLoadRefuses: each rule that Load stands for, with its pointer and clause.
func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct {
		old, new string // what to replace in the good config
		pointer  string
		want     error
	}{
		{`"1.0.2"`, `"2.0.0"`, "/ociVersion", ErrVersion},
		{`"1.0.2"`, `"1.0"`, "/ociVersion", ErrVersion},
		{`"1.0.2"`, `"01.0.0"`, "/ociVersion", ErrVersion},
		{`"1.0.2"`, `"1.0.2-"`, "/ociVersion", ErrVersion},
		{`"1.0.2"`, `"x"`, "/ociVersion", ErrVersion},
		{`"1.0.2"`, `""`, "/ociVersion", ErrMissing},
		{`"cwd":"/"`, `"cwd":"x"`, "/process/cwd", ErrInvalid},
		{`"cwd":"/"`, `"cwd":""`, "/process/cwd", ErrMissing},
		{`"cwd":"/"`, `"cwd":"/\u0000"`, "/process/cwd", ErrInvalid},
		{`["sh"]`, `[]`, "/process/args", ErrMissing},
		{`["sh"]`, `["s\u0000"]`, "/process/args", ErrInvalid},
		{`"args"`, `"env":["A=\u0000"],"args"`, "/process/env/0", ErrInvalid},
		{`"args"`, `"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":0},{"type":"RLIMIT_CORE","soft":0,"hard":0}],"args"`, "/process/rlimits/1/type", ErrDuplicate},
		{`"args"`, `"rlimits":[{"type":"CORE","soft":0,"hard":0}],"args"`, "/process/rlimits/0/type", ErrInvalid},
		{`"args"`, `"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}],"args"`, "/process/rlimits/0/soft", ErrInvalid},
		{`"root":{"path":"rootfs"},`, ``, "/root", ErrMissing},
		{`"root"`, `"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"pid"}]},"root"`, "/linux/namespaces/2/type", ErrDuplicate},
		{`"root"`, `"linux":{"namespaces":[{"type":"pids"}]},"root"`, "/linux/namespaces/0/type", ErrInvalid},
		{`"root"`, `"linux":{"namespaces":[{"type":"pid","path":"x"}]},"root"`, "/linux/namespaces/0/path", ErrInvalid},
		{`"root"`, `"linux":{"resources":{"unified":{"../../cgroup.procs":"1"}}},"root"`, "/linux/resources/unified/..~1..~1cgroup.procs", ErrInvalid},
		{`"root"`, `"linux":{"seccomp":{}},"root"`, "/linux/seccomp/defaultAction", ErrMissing},
		{`"root"`, `"linux":{"maskedPaths":["x"]},"root"`, "/linux/maskedPaths/0", ErrInvalid},
		{`"root"`, `"mounts":[{"type":"proc"}],"root"`, "/mounts/0/destination", ErrMissing},
		{`"root"`, `"hooks":{"poststop":[{"path":"x"}]},"root"`, "/hooks/poststop/0/path", ErrInvalid},
		{`"root"`, `"annotations":{"":"x"},"root"`, "/annotations/", ErrInvalid},
	} {
		if !strings.Contains(good, tt.old) {
			t.Fatal(tt.old)
		}
		_, err := Load(newBundle(t, strings.Replace(good, tt.old, tt.new, 1)))
		var e *Error
		var p *Problem
		if !errors.Is(err, tt.want) || !errors.As(err, &e) || !errors.As(err, &p) {
			t.Errorf("%s: got %v", tt.new, err)
		} else if p.Pointer != tt.pointer || p.Clause == (spec.Clause{}) && !strings.Contains(tt.new, "u0000") {
			t.Errorf("%s: pointer %q, clause %v", tt.new, p.Pointer, p.Clause)
		}
	}
}

// TestLoadVersions: SemVer of major version 1, newer minor versions too.
func TestLoadVersions(t *testing.T) {
	for _, v := range []string{"1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.1.0+dev", "1.3.0", "1.99.0", "1.0.0-rc.1+build.5"} {
		if _, err := Load(newBundle(t, strings.Replace(good, "1.0.2", v, 1))); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
}

// TestLoadAllAtOnce: every problem is reported, not only the first.
func TestLoadAllAtOnce(t *testing.T) {
	_, err := Load(newBundle(t, `{"ociVersion":"3.0.0","root":{"path":"nosuch"},"process":{"cwd":"x","args":[]}}`))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 4 {
		t.Fatalf("got %v", err)
	}
	for _, kind := range []error{ErrVersion, ErrRootfs, ErrInvalid, ErrMissing} {
		if !errors.Is(err, kind) {
			t.Errorf("no %v in %v", kind, err)
		}
	}
}

// TestLoadIgnoresUnknown: config.md "Extensibility".
func TestLoadIgnoresUnknown(t *testing.T) {
	if _, err := Load(newBundle(t, strings.Replace(good, `"cwd"`, `"novel":{"a":[{}]},"cwd"`, 1))); err != nil {
		t.Error(err)
	}
	if _, err := Load(newBundle(t, `{"ociVersion":"1.0.2","root":{"path":"rootfs"}}`)); err != nil {
		t.Errorf("a config without a process is right until start: %v", err)
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	s := DefaultSpec()
	if err := Write(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, filepath.Join(dir, ConfigName): 0o644} {
		if fi, err := os.Stat(path); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	b, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, b.Spec); d != "" {
		t.Error(d)
	}
	s.Hostname = "<other>"
	if err := Write(dir, s); err != nil {
		t.Fatal(err)
	}
	b, err = Load(dir)
	if err != nil || b.Spec.Hostname != "<other>" || !strings.Contains(string(b.Raw), "<other>") {
		t.Errorf("replaced: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 2 {
		t.Errorf("left behind: %v", names)
	}
}

// TestWriteReplacesLink: a link at config.json is not followed.
func TestWriteReplacesLink(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "f")
	if err := errors.Join(os.WriteFile(outside, []byte("kept"), 0o644), os.Symlink(outside, filepath.Join(dir, ConfigName))); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, DefaultSpec()); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(outside); string(got) != "kept" {
		t.Errorf("outside: %q", got)
	}
	if fi, err := os.Lstat(filepath.Join(dir, ConfigName)); err != nil || !fi.Mode().IsRegular() {
		t.Error(fi, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	s := DefaultSpec()
	s.Process.Cwd = "x"
	if err := Write(dir, s); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if err := Write(filepath.Join(dir, "a/b"), DefaultSpec()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, ConfigName), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, DefaultSpec()); err == nil {
		t.Error("a directory was replaced")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestMinVersion(t *testing.T) {
	one := uint(1)
	for _, tt := range []struct {
		want   string
		change func(*specs.Spec)
	}{
		{"1.0.2", func(*specs.Spec) {}},
		{"1.0.2", func(s *specs.Spec) { s.Linux, s.Process = nil, nil }},
		{"1.1.0", func(s *specs.Spec) { s.Domainname = "x" }},
		{"1.1.0", func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultErrnoRet: &one} }},
		{"1.1.0", func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{{ErrnoRet: &one}}}
		}},
		{"1.1.0", func(s *specs.Spec) { s.Linux.Resources.Unified = map[string]string{"memory.high": "1"} }},
		{"1.1.0", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "time"})
		}},
		{"1.2.0", func(s *specs.Spec) { s.Mounts[0].Options = append(s.Mounts[0].Options, "idmap") }},
		{"1.2.0", func(s *specs.Spec) { s.Mounts[0].Destination = "proc" }},
		{"1.2.1", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{} }},
		{"1.3.0", func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}} }},
	} {
		s := DefaultSpec()
		tt.change(s)
		if got := MinVersion(s); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
