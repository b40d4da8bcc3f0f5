//go:build linux

package plan

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files")

// testHost is a machine with nothing special, so that plans are the same everywhere.
func testHost() Host {
	return Host{
		CgroupV2: true, LastCap: 40, Held: 1<<41 - 1,
		Kind: func(p string) (FileKind, error) {
			if strings.HasSuffix(p, ".conf") || p == "/etc/hosts" {
				return NotDirectory, nil
			}
			return Directory, nil
		},
	}
}

func testFDs() FDs { return FDs{Report: 3, Sync: 4, Start: 4, Console: 5, Root: -1} }

func loadSpec(t *testing.T, name string) *specs.Spec {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestGolden(t *testing.T) {
	v1 := []Hierarchy{
		{Name: "cpu,cpuacct", Data: "cpu,cpuacct", Path: "/sys/fs/cgroup/cpu,cpuacct/box"},
		{Name: "systemd", Data: "name=systemd", Path: "/sys/fs/cgroup/systemd/box"},
	}
	for _, tc := range []struct {
		golden, config string
		change         func(*Input)
	}{
		{"runc-spec", "runc-spec.json", func(*Input) {}},
		{"runc-spec-v2", "runc-spec.json", func(in *Input) { in.Host.CgroupV2 = true }},
		{"runc-spec-rootless", "runc-spec-rootless.json", func(in *Input) { in.Host.CgroupV2 = true }},
		{"docker-like", "docker-like.json", func(in *Input) { in.Seccomp = make([]byte, 8*100) }},
		{"given-rootfs", "runc-spec.json", func(in *Input) { in.Rootfs = true; in.FDs.Root = 6; in.NoPivot = true }},
		{"everything", "everything.json", func(*Input) {}},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			in := Input{Spec: loadSpec(t, tc.config), Bundle: "/bundle", Host: testHost(), FDs: testFDs(), NewKeyring: true}
			in.Host.Hierarchies, in.Host.CgroupV2 = v1, false
			tc.change(&in)
			p, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", tc.golden+".plan")
			if *update {
				if err := os.WriteFile(file, []byte(p.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), p.String()); d != "" {
				t.Errorf("plan differs from %s (-want +got):\n%s", file, d)
			}
		})
	}
}

func TestCompileIsPure(t *testing.T) {
	in := Input{Spec: loadSpec(t, "docker-like.json"), Bundle: "/bundle", Host: testHost(), FDs: testFDs()}
	before, _ := json.Marshal(in.Spec)
	a, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Error("the same input gave two plans")
	}
	if after, _ := json.Marshal(in.Spec); string(after) != string(before) {
		t.Error("compiling changed the configuration")
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*specs.Spec)
		kind    error
		pointer string
	}{
		{"no program", func(s *specs.Spec) { s.Process.Args = nil }, ErrInvalid, "/process/args"},
		{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "work" }, ErrInvalid, "/process/cwd"},
		{"duplicate namespace", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
		}, ErrInvalid, "/linux/namespaces/5"},
		{"unknown namespace", func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "moon" }, ErrInvalid, "/linux/namespaces/0/type"},
		{"relative namespace path", func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "ns" }, ErrInvalid, "/linux/namespaces/0/path"},
		{"duplicate rlimit", func(s *specs.Spec) { s.Process.Rlimits = append(s.Process.Rlimits, s.Process.Rlimits[0]) }, ErrInvalid, "/process/rlimits/1/type"},
		{"unknown rlimit", func(s *specs.Spec) { s.Process.Rlimits[0].Type = "RLIMIT_LUNCH" }, ErrInvalid, "/process/rlimits/0/type"},
		{"soft above hard", func(s *specs.Spec) { s.Process.Rlimits[0].Soft = 1 << 40 }, ErrInvalid, "/process/rlimits/0"},
		{"CVE-2019-16884 tmpfs over /proc", func(s *specs.Spec) { s.Mounts[0].Type = "tmpfs" }, ErrInvalid, "/mounts/0"},
		{"data on a bind mount", func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/y", Options: []string{"bind", "size=1"}})
		}, ErrInvalid, "/mounts/7/options"},
		{"sysctl of the host", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.panic": "1"} }, ErrInvalid, "/linux/sysctl/kernel.panic"},
		{"sysctl by a path", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net/../kernel/panic": "1"} }, ErrInvalid, "/linux/sysctl/net~1..~1kernel~1panic"},
		{"sysctl of a shared namespace", func(s *specs.Spec) {
			s.Linux.Namespaces = s.Linux.Namespaces[:1]
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.MountNamespace})
			s.Hostname = ""
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		}, ErrInvalid, "/linux/sysctl/net.ipv4.ip_forward"},
		{"sysctl of the creator's own namespace", func(s *specs.Spec) {
			s.Linux.Namespaces[1] = specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/proc/self/ns/net"}
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
		}, ErrInvalid, "/linux/sysctl/net.ipv4.ip_forward"},
		{"hostname of the host", func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
		}, ErrInvalid, "/hostname"},
		{"NUL in env", func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "A=\x00") }, ErrInvalid, "/process/env/2"},
		{"uid -1", func(s *specs.Spec) { s.Process.User.UID = 1<<32 - 1 }, ErrInvalid, "/process/user/uid"},
		{"gid -1", func(s *specs.Spec) { s.Process.User.GID = 1<<32 - 1 }, ErrInvalid, "/process/user/gid"},
		{"group -1", func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{1, 1<<32 - 1} }, ErrInvalid, "/process/user/additionalGids/1"},
		{"AppArmor where it is off", func(s *specs.Spec) { s.Process.ApparmorProfile = "x" }, ErrUnsupported, "/process/apparmorProfile"},
		{"masked root", func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/"} }, ErrInvalid, "/linux/maskedPaths/0"},
		{"time offsets without a time namespace", func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
		}, ErrInvalid, "/linux/timeOffsets"},
		{"user namespace without maps", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		}, ErrInvalid, "/linux/uidMappings"},
		{"device of no type", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, ErrInvalid, "/linux/devices/0/type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := loadSpec(t, "runc-spec.json")
			tc.change(s)
			host := testHost()
			host.Own = func(p string) bool { return strings.HasPrefix(p, "/proc/self/ns/") }
			_, err := Compile(Input{Spec: s, Bundle: "/bundle", Host: host, FDs: testFDs()})
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tc.kind) || e.Pointer != tc.pointer {
				t.Errorf("got %v, want %v at %s", err, tc.kind, tc.pointer)
			}
		})
	}
}

// config.md asks for a warning about what cannot be given, and no more.
func TestUnknownCapabilitiesAreWarnedAbout(t *testing.T) {
	s := loadSpec(t, "runc-spec.json")
	s.Process.Capabilities.Bounding = []string{"CAP_FLY", "CAP_KILL", "CAP_SYS_RESOURCE"}
	in := Input{Spec: s, Bundle: "/bundle", Host: testHost(), FDs: testFDs()}
	in.Host.Held &^= 1 << 24 // CAP_SYS_RESOURCE
	p, err := Compile(in)
	want := []string{`/process/capabilities/bounding/0: "CAP_FLY" is not a capability`, "/process/capabilities/bounding/2: CAP_SYS_RESOURCE cannot be given here"}
	if err != nil || cmp.Diff(want, p.Warnings) != "" {
		t.Errorf("got %q, %v", p.Warnings, err)
	}
}

// Labels must lead somewhere, and every branch forward: a plan ends.
func TestPlansEnd(t *testing.T) {
	for _, f := range []string{"runc-spec.json", "runc-spec-rootless.json", "docker-like.json", "everything.json"} {
		in := Input{Spec: loadSpec(t, f), Bundle: "/bundle", Host: testHost(), FDs: testFDs()}
		p, err := Compile(in)
		if err != nil {
			t.Fatal(f, err)
		}
		at := map[string]int{}
		for i, s := range p.Steps {
			if s.Label != "" {
				at[s.Label] = i
			}
		}
		for i, s := range p.Steps {
			to := []string{s.OK}
			for _, r := range s.Rules {
				to = append(to, r.Goto)
			}
			for _, a := range s.Args {
				if a.Kind == Target {
					to = append(to, a.String)
				}
			}
			for _, l := range to {
				if n, ok := at[l]; l != "" && (!ok || n <= i) {
					t.Errorf("%s: step %d (%s) goes to %s, which is step %d", f, i, s.Name, l, n)
				}
			}
		}
		last := p.Steps[len(p.Steps)-1]
		if last.Call != "execve" || len(last.Rules) != 0 {
			t.Errorf("%s: the last step is %s", f, last.Name)
		}
	}
}
