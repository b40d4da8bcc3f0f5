//go:build linux

package seccomp

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

func dockerProfile(tb testing.TB, caps ...string) *specs.LinuxSeccomp {
	tb.Helper()
	s, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// errno is for literals of pointers.
func errno(n uint) *uint { return &n }

var natives = []Arch{
	specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64, specs.ArchARM, specs.ArchRISCV64,
	specs.ArchS390X, specs.ArchPPC64LE, specs.ArchLOONGARCH64,
}

func TestDockerProfileAgrees(t *testing.T) {
	for _, native := range natives {
		for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"}} {
			s := dockerProfile(t, caps...)
			s.Architectures = []Arch{native, specs.ArchX86, specs.ArchX32, specs.ArchARM}
			agree(t, s, native)
		}
	}
}

func TestDockerProfileSize(t *testing.T) {
	s := dockerProfile(t)
	s.Architectures = []Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	p, err := Compile(s, specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	// libseccomp 2.5 makes about 2,800 of the same profile.
	if n := len(p.Instructions); n > 700 {
		t.Errorf("%d instructions", n)
	}
	if len(p.Unknown) != 0 {
		t.Errorf("unknown calls: %q", p.Unknown)
	}
	t.Logf("%d instructions", len(p.Instructions))
}

func TestRulesAgree(t *testing.T) {
	arg := func(i uint, op specs.LinuxSeccompOperator, v, two uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: i, Value: v, ValueTwo: two, Op: op}
	}
	operators := []specs.LinuxSeccompOperator{
		specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
		specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
	}
	actions := []specs.LinuxSeccompAction{
		specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno,
		specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify,
	}
	profiles := map[string]*specs.LinuxSeccomp{
		"empty allow":  {DefaultAction: specs.ActAllow},
		"empty errno":  {DefaultAction: specs.ActErrno},
		"enosys":       {DefaultAction: specs.ActErrno, DefaultErrnoRet: errno(38), Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}},
		"only read":    {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}},
		"sockets deny": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"socket", "semop"}, Action: specs.ActErrno, ErrnoRet: errno(97), Args: []specs.LinuxSeccompArg{arg(0, specs.OpEqualTo, 38, 0)}}}},
		"first wins": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ioctl"}, Action: specs.ActTrap, Args: []specs.LinuxSeccompArg{arg(1, specs.OpLessThan, 100, 0)}},
			{Names: []string{"ioctl"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{arg(1, specs.OpLessThan, 200, 0)}},
			{Names: []string{"ioctl", "socketcall"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(1, specs.OpGreaterThan, 1<<32+7, 0)}},
		}},
		"always wins": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ioctl"}, Action: specs.ActTrap, Args: []specs.LinuxSeccompArg{arg(1, specs.OpLessThan, 100, 0)}},
			{Names: []string{"ioctl"}, Action: specs.ActAllow},
			{Names: []string{"ioctl"}, Action: specs.ActLog},
		}},
		"set_tls": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"set_tls", "openat"}, Action: specs.ActAllow}}},
	}
	for _, op := range operators {
		for _, v := range []uint64{0, 5, 1<<32 - 1, 1 << 32, 1<<40 + 9, 1<<64 - 1} {
			profiles[fmt.Sprintf("%s %#x", op, v)] = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"personality", "getpid"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, op, v, v&0xf0000000f), arg(5, op, 7, 3)}},
				{Names: []string{"clone"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{arg(2, op, v, 1), arg(2, specs.OpEqualTo, 4, 0)}},
			}}
		}
	}
	for _, act := range actions {
		profiles["action "+string(act)] = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: errno(99), Syscalls: []specs.LinuxSyscall{{Names: []string{"getpid", "mount"}, Action: act}}}
		if act != specs.ActNotify {
			profiles["default "+string(act)] = &specs.LinuxSeccomp{DefaultAction: act, Syscalls: []specs.LinuxSyscall{{Names: []string{"getpid", "mount"}, Action: specs.ActErrno, ErrnoRet: errno(4095)}}}
		}
	}
	for name, s := range profiles {
		t.Run(name, func(t *testing.T) {
			for _, native := range []Arch{specs.ArchX86_64, specs.ArchAARCH64, specs.ArchS390X} {
				agree(t, s, native)
			}
			s.Architectures = []Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchMIPS}
			agree(t, s, specs.ArchX86_64)
		})
	}
}

// TestFarJumps makes every other call conditional on many values, so that no tree and no chain is
// within the reach of an 8-bit offset.
func TestFarJumps(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []Arch{specs.ArchX86}}
	for i := 0; i < callCount; i += 3 {
		for j := range 2 {
			s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{
				Names: []string{callName(i)}, Action: specs.ActErrno, ErrnoRet: errno(uint(100 + i%50 + j)),
				Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpGreaterThan, Value: uint64(10 - 5*j)}},
			})
		}
	}
	agree(t, s, specs.ArchX86_64)
	for range 4 {
		s.Syscalls = append(s.Syscalls, s.Syscalls...)
	}
	if _, err := Compile(s, specs.ArchX86_64); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a filter beyond the kernel's limit: %v", err)
	}
}

func TestRefused(t *testing.T) {
	call := func(f func(*specs.LinuxSyscall)) *specs.LinuxSeccomp {
		c := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow}
		f(&c)
		return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{c}}
	}
	for _, tt := range []struct {
		name    string
		s       *specs.LinuxSeccomp
		kind    error
		subject string
		clause  spec.Clause
	}{
		{"nil", nil, ErrNoProfile, "", spec.Clause{}},
		{"RS-SC1 default action", &specs.LinuxSeccomp{}, ErrAction, "/defaultAction", spec.RuntimeSeccompAction},
		{"RS-SC1 action", call(func(c *specs.LinuxSyscall) { c.Action = "SCMP_ACT_NO" }), ErrAction, "/syscalls/0/action", spec.RuntimeSeccompAction},
		{"RS-SC2 errno of allow", call(func(c *specs.LinuxSyscall) { c.ErrnoRet = errno(1) }), ErrErrno, "/syscalls/0/errnoRet", spec.RuntimeSeccompErrno},
		{"RS-SC2 default errno of kill", &specs.LinuxSeccomp{DefaultAction: specs.ActKill, DefaultErrnoRet: errno(1)}, ErrErrno, "/defaultErrnoRet", spec.RuntimeSeccompErrno},
		{"errno 4096", call(func(c *specs.LinuxSyscall) { c.Action, c.ErrnoRet = specs.ActErrno, errno(4096) }), ErrErrnoRange, "/syscalls/0/errnoRet", spec.Clause{}},
		{"RS-SC3 arch", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []Arch{"SCMP_ARCH_Z80"}}, ErrArchitecture, "/architectures/0", spec.RuntimeSeccompArch},
		{"RS-SC4 flag", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"X"}}, ErrFlag, "/flags/0", spec.RuntimeSeccompFlags},
		{"RS-SC5 no names", call(func(c *specs.LinuxSyscall) { c.Names = nil }), ErrName, "/syscalls/0/names", spec.RuntimeSeccompNames},
		{"empty name", call(func(c *specs.LinuxSyscall) { c.Names = []string{""} }), ErrName, "/syscalls/0/names", spec.Clause{}},
		{"RS-SC6 operator", call(func(c *specs.LinuxSyscall) { c.Args = []specs.LinuxSeccompArg{{Op: "X"}} }), ErrOperator, "/syscalls/0/args/0/op", spec.RuntimeSeccompOperator},
		{"index 6", call(func(c *specs.LinuxSyscall) { c.Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}} }), ErrArgument, "/syscalls/0/args/0/index", spec.Clause{}},
		{"RS-SC7 metadata", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}, ErrNotify, "/listenerMetadata", spec.RuntimeSeccompMetadata},
		{"notify by default", &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, ErrNotify, "/defaultAction", spec.Clause{}},
		{"notify write", call(func(c *specs.LinuxSyscall) { c.Names, c.Action = []string{"write"}, specs.ActNotify }), ErrNotify, "/syscalls/0/names", spec.Clause{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.s, specs.ArchX86_64)
			var e *Error
			if !errors.Is(err, tt.kind) || !errors.As(err, &e) || e.Subject != tt.subject || e.Clause != tt.clause {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, native := range []Arch{"", specs.ArchX32, specs.ArchMIPS} {
		if _, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow}, native); !errors.Is(err, ErrArchitecture) {
			t.Errorf("native %q: %v", native, err)
		}
	}
}

func TestFlags(t *testing.T) {
	notify := []specs.LinuxSyscall{{Names: []string{"mkdir", "no_such_call"}, Action: specs.ActNotify}}
	for _, tt := range []struct {
		flags []specs.LinuxSeccompFlag
		calls []specs.LinuxSyscall
		want  uint32
	}{
		{nil, nil, flagSpecAllow},
		{[]specs.LinuxSeccompFlag{}, nil, 0},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog}, nil, flagLog},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, nil, 0},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, notify, flagWaitKillableRecv | flagNewListener},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagSpecAllow}, notify[:1], flagSpecAllow | flagNewListener},
	} {
		p, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: tt.flags, Syscalls: tt.calls}, specs.ArchX86_64)
		if err != nil || p.Flags != tt.want || p.NeedsListener != (tt.calls != nil) {
			t.Errorf("%q: flags %#x, listener %v, %v", tt.flags, p.Flags, p.NeedsListener, err)
		}
		if tt.calls != nil && !slices.Equal(p.Unknown, []string{"no_such_call"}) {
			t.Errorf("unknown: %q", p.Unknown)
		}
	}
}

func TestListing(t *testing.T) {
	p, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"read", "write"}, Action: specs.ActAllow},
		{Names: []string{"close"}, Action: specs.ActTrap, Args: []specs.LinuxSeccompArg{{Op: specs.OpMaskedEqual, Value: 1}}},
	}}, specs.ArchX86_64)
	if err != nil {
		t.Fatal(err)
	}
	want := `   0  load arch
   1  == 0xc000003e ? 2 : 10
   2  load nr
   3  >= 0x4 ? 7 : 4
   4  >= 0x2 ? 6 : 5
   5  return allow
   6  >= 0x3 ? 11 : 14
   7  >= 0x40000000 ? 9 : 8
   8  return errno 38
   9  >= 0xffffffff ? 14 : 10
  10  return kill_thread
  11  load arg0+0
  12  and 0x1
  13  == 0x0 ? 15 : 14
  14  return errno 1
  15  return trap
`
	if got := p.String(); got != want {
		t.Errorf("got:\n%s", got)
	}
	if got := p.Bytes(); len(got) != 8*len(p.Instructions) || got[0] != opLoad || got[4] != offsetArch {
		t.Errorf("bytes: %x", got[:8])
	}
}

func TestFeatures(t *testing.T) {
	f := Features()
	if len(f.Actions) != 9 || len(f.Operators) != 7 || !slices.Contains(f.Archs, "SCMP_ARCH_X32") {
		t.Errorf("got %+v", f)
	}
}

func BenchmarkDockerProfile(b *testing.B) {
	s := dockerProfile(b)
	b.ReportAllocs()
	for b.Loop() {
		p, err := Compile(s, Native())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(p.Instructions)), "instructions")
	}
}
