package bundle

import (
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// TestValidate: each rule that TestLoadRefuses has not shown, one change to a right config each.
func TestValidate(t *testing.T) {
	errno, umask, zero, minus, weight := uint(1), uint32(0o1000), 0, int64(-2), uint16(5)
	for _, tt := range []struct {
		pointer string
		want    error
		level   spec.Level
		change  func(*specs.Spec)
	}{
		{"/process/env/0", ErrInvalid, spec.Should, func(s *specs.Spec) { s.Process.Env[0] = "NOVALUE" }},
		{"/process/user/umask", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Process.User.Umask = &umask }},
		{"/process/capabilities/bounding/0", ErrInvalid, spec.Should, func(s *specs.Spec) { s.Process.Capabilities.Bounding[0] = "CAP_X" }},
		{"/process/ioPriority/class", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "x"} }},
		{"/process/ioPriority/priority", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}
		}},
		{"/mounts/0/destination", ErrInvalid, spec.Should, func(s *specs.Spec) { s.Mounts[0].Destination = "proc" }},
		{"/mounts/0/options", ErrInvalid, "", func(s *specs.Spec) { s.Mounts[0].Options[0] = "a\x00" }},
		{"/hooks/poststart/0/timeout", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/x", Timeout: &zero}}}
		}},
		{"/linux/uidMappings", ErrInvalid, spec.Should, func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} }},
		{"/linux/gidMappings/0", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 1 << 31, Size: 1 << 31}}
		}},
		{"/linux/timeOffsets/x", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"x": {}} }},
		{"/linux/devices/0/type", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "x"}} }},
		{"/linux/devices/0/path", ErrMissing, spec.Must, func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Type: "c"}} }},
		{"/linux/devices/0", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", Major: -1}} }},
		{"/linux/resources/devices/0/type", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Resources.Devices[0].Type = "x" }},
		{"/linux/resources/devices/0/access", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Resources.Devices[0].Access = "x" }},
		{"/linux/resources/memory/swap", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Resources.Memory = &specs.LinuxMemory{Swap: &minus} }},
		{"/linux/resources/blockIO/weight", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{Weight: &weight} }},
		{"/linux/resources/hugepageLimits/0/pageSize", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{}} }},
		{"/linux/rootfsPropagation", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.RootfsPropagation = "x" }},
		{"/linux/personality/domain", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "x"} }},
		{"/linux/readonlyPaths/0", ErrInvalid, spec.Must, func(s *specs.Spec) { s.Linux.ReadonlyPaths[0] = "x" }},
		{"/linux/seccomp/architectures/0", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"x"}}
		}},
		{"/linux/seccomp/defaultAction", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: &errno}
		}},
		{"/linux/seccomp/syscalls/0/names", ErrMissing, spec.Must, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActErrno}}}
		}},
		{"/linux/seccomp/syscalls/0/args/0/index", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}},
			}}
		}},
		{"/linux/seccomp/syscalls/0/args/0/op", ErrInvalid, spec.Must, func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{}}},
			}}
		}},
	} {
		s := DefaultSpec()
		tt.change(s)
		ps := Validate(s)
		if len(ps) != 1 {
			t.Errorf("%s: got %v", tt.pointer, ps)
			continue
		}
		if p := ps[0]; p.Pointer != tt.pointer || !errors.Is(p, tt.want) || p.Clause.Level != tt.level || p.Hint == "" || p.Must() == (tt.level == spec.Should) {
			t.Errorf("%s: got %v, level %q, hint %q", tt.pointer, p, p.Clause.Level, p.Hint)
		}
	}
}

// TestValidateRight: what looks odd and is right.
func TestValidateRight(t *testing.T) {
	weight := uint16(0)
	for _, change := range []func(*specs.Spec){
		func(*specs.Spec) {},
		func(s *specs.Spec) { s.Process = nil },
		func(s *specs.Spec) { s.Linux = nil },
		func(s *specs.Spec) { s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{Weight: &weight} },
		func(s *specs.Spec) { s.Linux.RootfsPropagation = "rslave" },
		func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/p", Type: "p"}} },
	} {
		s := DefaultSpec()
		change(s)
		if ps := Validate(s); len(ps) > 0 {
			t.Error(ps)
		}
	}
	if ps := Validate(&specs.Spec{}); len(ps) == 0 {
		t.Error("an empty config is right")
	}
}
