//go:build linux

package seccomp

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// data is what a filter looks at: struct seccomp_data.
type data struct {
	audit, nr uint32
	args      [6]uint64
}

// pack lays data out as the virtual machine reads it: it loads words big-endian, so each word
// is stored so, and the halves of an argument are in the order of the architecture.
func (d data) pack(big bool) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b[0:], d.nr)
	binary.BigEndian.PutUint32(b[4:], d.audit)
	for i, v := range d.args {
		low, high := 16+8*i, 20+8*i
		if big {
			low, high = high, low
		}
		binary.BigEndian.PutUint32(b[low:], uint32(v))
		binary.BigEndian.PutUint32(b[high:], uint32(v>>32))
	}
	return b
}

func machine(tb testing.TB, p Program) func(data) uint32 {
	tb.Helper()
	raw := make([]bpf.RawInstruction, len(p.Instructions))
	for i, in := range p.Instructions {
		raw[i] = bpf.RawInstruction{Op: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	code, ok := bpf.Disassemble(raw)
	if !ok {
		tb.Fatalf("not all instructions are known to the reference:\n%s", p)
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		tb.Fatalf("the reference refuses the program: %v\n%s", err, p)
	}
	return func(d data) uint32 {
		n, err := vm.Run(d.pack(p.big))
		if err != nil {
			tb.Fatal(err)
		}
		return uint32(n)
	}
}

// named is a call that a rule names, as one architecture has it.
type named struct {
	ok, mux   bool
	n, muxN   uint32
	through   string
	muxedCall uint64
}

// referee resolves the names of a profile once for each architecture.
type referee map[int][][]named

func (r referee) resolve(s *specs.LinuxSeccomp, a archInfo) [][]named {
	if all, ok := r[a.row]; ok {
		return all
	}
	all := make([][]named, len(s.Syscalls))
	for i, rule := range s.Syscalls {
		for _, name := range rule.Names {
			var c named
			c.n, c.ok = numberOf(a, name)
			if a.mux {
				c.through, c.muxedCall = muxed(name)
				c.muxN, c.mux = numberOf(a, c.through)
			}
			all[i] = append(all[i], c)
		}
	}
	r[a.row] = all
	return all
}

// decide says what the package comment promises for d, rule by rule and name by name.
func (r referee) decide(s *specs.LinuxSeccomp, native Arch, d data) uint32 {
	standard, _ := action(s.DefaultAction, s.DefaultErrnoRet, -1, "", "")
	archs := []archInfo{}
	for _, name := range append([]Arch{native}, s.Architectures...) {
		if a, ok := lookupArch(name); ok && a.row >= 0 && a.runsOn(native) && a.audit == d.audit {
			archs = append(archs, a)
		}
	}
	if len(archs) == 0 {
		return retKillThread
	}
	nr := d.nr
	if d.audit == 0xc000003e {
		is := func(name Arch) func(archInfo) bool { return func(a archInfo) bool { return a.name == name } }
		switch {
		case nr < x32Bit:
			archs = slices.DeleteFunc(archs, is(specs.ArchX32))
		case slices.ContainsFunc(archs, is(specs.ArchX32)):
			archs = slices.DeleteFunc(archs, is(specs.ArchX86_64))
			nr -= x32Bit
		case nr == 1<<32-1:
			return standard
		default:
			return retKillThread
		}
	}
	a := archs[0]
	var newestCall uint32
	var answer, always *uint32
	ruled := false // a private call of arm above the newest one
	names := r.resolve(s, a)
	for i, rule := range s.Syscalls {
		ret, _ := action(rule.Action, rule.ErrnoRet, -1, "", "")
		for _, c := range names[i] {
			if c.ok && c.n < armBase {
				newestCall = max(newestCall, c.n)
			}
			if ret == standard {
				continue
			}
			if c.ok && c.n == nr {
				ruled = true
				if len(rule.Args) == 0 && always == nil {
					always = &ret
				}
				if answer == nil && matches(a, rule.Args, d.args) {
					answer = &ret
				}
			}
			if c.mux && c.muxN == nr && (len(rule.Args) == 0 || !permissive(ret)) {
				first := d.args[0] & 0xffffffff
				if c.through == "ipc" {
					first &= 0xffff
				}
				if first == c.muxedCall && answer == nil {
					answer = &ret
				}
			}
		}
	}
	unheard := newestCall != 0 && !permissive(standard)
	switch {
	case unheard && a.name == specs.ArchS390X && nr == 0:
		return retErrno | enosys
	case always != nil:
		return *always
	case answer != nil:
		return *answer
	case unheard && nr > newestCall && !ruled:
		return retErrno | enosys
	}
	return standard
}

// numbers holds the table of each row by name.
var numbers = sync.OnceValue(func() map[int]map[string]uint32 {
	all := map[int]map[string]uint32{}
	for _, a := range architectures {
		if a.row < 0 {
			continue
		}
		all[a.row] = map[string]uint32{}
		for i := range callCount {
			if n, ok := a.number(i); ok {
				all[a.row][callName(i)] = n
			}
		}
	}
	return all
})

func numberOf(a archInfo, name string) (uint32, bool) {
	n, ok := numbers()[a.row][name]
	return n, ok
}

func matches(a archInfo, args []specs.LinuxSeccompArg, values [6]uint64) bool {
	count := map[uint]int{}
	several := false
	for _, c := range args {
		count[c.Index]++
		several = several || count[c.Index] > 1
	}
	for _, c := range args {
		if holds(a, c, values[c.Index]) == several {
			return several
		}
	}
	return !several
}

func holds(a archInfo, c specs.LinuxSeccompArg, have uint64) bool {
	value, two := c.Value, c.ValueTwo
	if a.is32 {
		have, value, two = have&0xffffffff, value&0xffffffff, two&0xffffffff
	}
	switch c.Op {
	case specs.OpNotEqual:
		return have != value
	case specs.OpLessThan:
		return have < value
	case specs.OpLessEqual:
		return have <= value
	case specs.OpEqualTo:
		return have == value
	case specs.OpGreaterEqual:
		return have >= value
	case specs.OpGreaterThan:
		return have > value
	}
	return have&value == two
}

// agree compares a compiled profile with the reference on many calls of every architecture.
func agree(t *testing.T, s *specs.LinuxSeccomp, native Arch, extra ...data) {
	t.Helper()
	p, err := Compile(s, native)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Instructions) > maxInstructions {
		t.Fatalf("%d instructions", len(p.Instructions))
	}
	run, referee := machine(t, p), referee{}
	try := func(d data) {
		t.Helper()
		if got, want := run(d), referee.decide(s, native, d); got != want {
			t.Fatalf("native %s arch %#x nr %d (%#x) args %#x: got %s, want %s\n%s", native, d.audit, d.nr, d.nr, d.args, returnName(got), returnName(want), p)
		}
	}
	values := boundary(s)
	for _, a := range architectures {
		if a.row < 0 {
			continue
		}
		interesting := map[uint32]bool{}
		for _, r := range s.Syscalls {
			if len(r.Args) == 0 {
				continue
			}
			for _, name := range r.Names {
				if n, ok := numberOf(a, name); ok {
					interesting[n] = true
				}
			}
		}
		step := uint32(1)
		if !a.runsOn(native) { // one answer for all of it
			step = 50
		}
		for nr := uint32(0); nr <= 600; nr += step {
			for _, base := range []uint32{0, x32Bit} {
				try(data{audit: a.audit, nr: nr | base})
			}
		}
		for _, nr := range []uint32{armBase - 1, armBase + 1, armBase + 5, armBase + 9, x32Bit - 1, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1} {
			try(data{audit: a.audit, nr: nr})
		}
		if step > 1 {
			continue
		}
		for nr := range interesting {
			for _, v := range values {
				for arg := range 6 {
					d := data{audit: a.audit, nr: nr}
					d.args[arg] = v
					try(d)
					d.nr |= x32Bit
					try(d)
				}
				try(data{audit: a.audit, nr: nr, args: [6]uint64{v, v, v, v, v, v}})
			}
		}
	}
	for _, d := range extra {
		try(d)
	}
	try(data{audit: 0xdeadbeef, nr: 1})
}

// boundary gives the values next to those that the profile compares with.
func boundary(s *specs.LinuxSeccomp) []uint64 {
	values := []uint64{0, 1, 1<<32 - 1, 1 << 32, 1<<64 - 1}
	for _, r := range s.Syscalls {
		for _, a := range r.Args {
			values = append(values, a.Value, a.Value+1, a.Value-1, a.Value^(1<<40), a.Value&0xffffffff, a.ValueTwo, a.ValueTwo|^a.Value, a.ValueTwo^1)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
