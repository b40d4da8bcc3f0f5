package launch

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

func imm(v uint64) plan.Arg     { return plan.Arg{Value: v} }
func text(s string) plan.Arg    { return plan.Arg{Kind: plan.Text, String: s} }
func load(s plan.Slot) plan.Arg { return plan.Arg{Kind: plan.Load, Slot: s} }
func addr(s plan.Slot) plan.Arg { return plan.Arg{Kind: plan.AddressOf, Slot: s} }
func target(l string) plan.Arg  { return plan.Arg{Kind: plan.Target, String: l} }
func say(s string) plan.Step {
	return plan.Step{Name: "say", Nr: unix.SYS_WRITE, Args: []plan.Arg{imm(1), text(s), imm(uint64(len(s)))}}
}

// interpreterPlan uses every feature of the interpreter; it says what it passes, and must not say "wrong".
func interpreterPlan(end []plan.Step) *plan.Plan {
	bad := say("wrong ")
	bad.Label = "wrong"
	steps := []plan.Step{
		say("begin "),
		{Name: "set", Nr: plan.NrSet, Args: []plan.Arg{addr(1), imm(0xabcd)}},
		{Name: "equal", Nr: plan.NrJumpEqual, Args: []plan.Arg{load(1), imm(0xff), imm(0xcd), target("masked")}},
		bad,
		func() plan.Step { s := say("masked "); s.Label = "masked"; return s }(),
		{Name: "equal, not taken", Nr: plan.NrJumpEqual, Args: []plan.Arg{load(1), imm(^uint64(0)), imm(0xcd), target("wrong")}},
		{Name: "unequal, not taken", Nr: plan.NrJumpNotEqual, Args: []plan.Arg{load(1), imm(^uint64(0)), imm(0xabcd), target("wrong")}},
		{Name: "unequal", Nr: plan.NrJumpNotEqual, Args: []plan.Arg{load(1), imm(^uint64(0)), imm(0), target("stored")}},
		bad2("wrong2"),
		{Label: "stored", Name: "getpid", Nr: unix.SYS_GETPID, Store: 2},
		{Name: "is it stored?", Nr: plan.NrJumpNotEqual, Args: []plan.Arg{load(2), imm(^uint64(0)), imm(0), target("rule")}},
		bad2("wrong3"),
		{
			Label: "rule", Name: "open what is not there", Nr: unix.SYS_OPENAT, Args: []plan.Arg{imm(uint64(0xffffffffffffff9c)), text("/nowhere"), imm(0), imm(0)},
			Rules: []plan.Rule{{Errno: uint32(unix.EACCES), Goto: "wrong"}, {Errno: uint32(unix.ENOENT), Goto: "noent"}}, OK: "wrong",
		},
		bad2("wrong4"),
		{Label: "noent", Name: "any", Nr: unix.SYS_CLOSE, Args: []plan.Arg{imm(12345)}, Rules: []plan.Rule{{Errno: plan.AnyErrno, Goto: "any"}}, OK: "wrong"},
		bad2("wrong5"),
		func() plan.Step { s := say("ruled "); s.Label = "any"; s.OK = "ok"; return s }(),
		bad2("wrong6"),
		{Label: "ok", Name: "set", Nr: plan.NrSet, Args: []plan.Arg{addr(4), imm(12345)}},
		{
			Name: "all arguments loaded", Nr: unix.SYS_PREAD64,
			Args: []plan.Arg{load(4), load(5), load(6), load(7)}, Rules: []plan.Rule{{Errno: uint32(unix.EBADF), Goto: "read"}}, OK: "wrong",
		},
		bad2("wrong7"),
		func() plan.Step { s := say("end"); s.Label = "read"; return s }(),
	}
	return &plan.Plan{Steps: append(steps, end...), Slots: 8, FDs: plan.FDs{Report: 2}}
}

func bad2(label string) plan.Step {
	s := say("wrong ")
	s.Label = label
	return s
}

var exit7 = plan.Step{Name: "exit", Nr: unix.SYS_EXIT_GROUP, Args: []plan.Arg{imm(7)}}

// emulator runs programs of another machine: OCI_TEST_EMULATOR="qemu-aarch64-static" with a test binary for arm64.
func interpret(t *testing.T, p *plan.Plan) (stdout string, report []byte, status int) {
	t.Helper()
	img, err := encode(p)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, img, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file)
	if e := os.Getenv("OCI_TEST_EMULATOR"); e != "" {
		cmd = exec.Command(e, file)
	}
	var out, errOut writer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), errOut, cmd.ProcessState.ExitCode()
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

func TestInterpreter(t *testing.T) {
	out, report, status := interpret(t, interpreterPlan([]plan.Step{exit7}))
	if out != "begin masked ruled end" || len(report) != 0 || status != 7 {
		t.Errorf("got %q, report %x, status %d", out, report, status)
	}
}

func TestInterpreterReportsStepAndErrno(t *testing.T) {
	for name, tc := range map[string]struct {
		step  plan.Step
		errno unix.Errno
	}{
		"a failing call":     {plan.Step{Nr: unix.SYS_CLOSE, Args: []plan.Arg{imm(12345)}}, unix.EBADF},
		"no rule matches":    {plan.Step{Nr: unix.SYS_CLOSE, Args: []plan.Arg{imm(12345)}, Rules: []plan.Rule{{Errno: 1, Goto: "wrong"}}}, unix.EBADF},
		"a fail step":        {plan.Step{Nr: plan.NrFail, Args: []plan.Arg{imm(uint64(unix.EXDEV))}}, unix.EXDEV},
		"nothing to be read": {plan.Step{Nr: unix.SYS_READ, Args: []plan.Arg{imm(0), addr(1), imm(1)}, NotZero: true}, unix.ENODATA},
		"four rules, no hit": {plan.Step{Nr: unix.SYS_CLOSE, Args: []plan.Arg{imm(12345)}, Rules: []plan.Rule{
			{Errno: 1, Goto: "wrong"}, {Errno: 2, Goto: "wrong"}, {Errno: 3, Goto: "wrong"}, {Errno: 5, Goto: "wrong"},
		}}, unix.EBADF},
	} {
		t.Run(name, func(t *testing.T) {
			tc.step.Name = name
			p := interpreterPlan([]plan.Step{tc.step, exit7})
			_, report, status := interpret(t, p)
			if status != 125 || len(report) != plan.RecordSize {
				t.Fatalf("status %d, report %x", status, report)
			}
			kind, step, errno := order.Uint32(report), order.Uint32(report[4:]), order.Uint32(report[8:])
			if kind != plan.RecordFailure || int(step) != len(p.Steps)-2 || unix.Errno(errno) != tc.errno {
				t.Errorf("got kind %d, step %d of %d, errno %d", kind, step, len(p.Steps), errno)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, p := range map[string]*plan.Plan{
		"an unknown label":   {Slots: 1, Steps: []plan.Step{{OK: "nowhere"}}},
		"a label twice":      {Slots: 1, Steps: []plan.Step{{Label: "a"}, {Label: "a"}}},
		"too many arguments": {Slots: 1, Steps: []plan.Step{{Args: make([]plan.Arg, 7)}}},
		"too many rules":     {Slots: 1, Steps: []plan.Step{{Rules: make([]plan.Rule, 5)}}},
	} {
		if _, err := encode(p); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

// BenchmarkCompileAndEncode is what comes before the process of a Docker-like container starts.
func BenchmarkCompileAndEncode(b *testing.B) {
	raw, err := os.ReadFile("../plan/testdata/docker-like.json")
	if err != nil {
		b.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(raw, &s); err != nil {
		b.Fatal(err)
	}
	in := plan.Input{Spec: &s, Bundle: "/bundle", FDs: plan.FDs{Report: 3, Sync: 4, Start: 4, Console: -1, Root: -1}}
	in.Host = plan.Host{CgroupV2: true, LastCap: 40, Kind: func(string) (plan.FileKind, error) { return plan.Directory, nil }}
	for b.Loop() {
		p, err := plan.Compile(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := encode(p); err != nil {
			b.Fatal(err)
		}
	}
}
