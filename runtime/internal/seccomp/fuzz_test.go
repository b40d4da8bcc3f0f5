//go:build linux

package seccomp

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzCompile makes a profile of bytes and holds the compiled filter against the reference.
func FuzzCompile(f *testing.F) {
	f.Add([]byte("\x04\x03\x00\x10\x20\x30"))
	f.Add([]byte("\x06\x0fabcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte("\x04\x01\x05\x08\x10\x11\x02\x01\x01\x07\x03\x05\x10\xff\x02\x06\x08"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := reader(in)
		s := profile(&r)
		native := natives[int(r.next())%len(natives)]
		p, err := Compile(s, native)
		if err != nil {
			return // what is refused is tested elsewhere
		}
		run, referee := machine(t, p), referee{}
		values := boundary(s)
		for range 200 {
			a := architectures[int(r.next())%9]
			d := data{audit: a.audit, nr: uint32(r.next())<<8&0x1ff | uint32(r.next())}
			if r.next()&3 == 0 {
				d.nr |= x32Bit
			}
			if len(s.Syscalls) > 0 && r.next()&3 != 0 {
				names := s.Syscalls[int(r.next())%len(s.Syscalls)].Names
				if n, ok := numberOf(a, names[int(r.next())%len(names)]); ok {
					d.nr = d.nr&x32Bit | n
				}
			}
			for i := range d.args {
				d.args[i] = values[int(r.next())%len(values)]
			}
			if got, want := run(d), referee.decide(s, native, d); got != want {
				t.Fatalf("native %s: %+v: got %s, want %s\n%+v\n%s", native, d, returnName(got), returnName(want), s, p)
			}
		}
	})
}

// reader gives bytes of the input and, after its end, numbers that depend on it.
type reader []byte

func (r *reader) next() byte {
	b := *r
	if len(b) == 0 {
		b = reader{1}
	}
	first := b[0]
	*r = append(b[1:len(b):len(b)], first*167+13)
	return first
}

func profile(r *reader) *specs.LinuxSeccomp {
	actions := []specs.LinuxSeccompAction{
		specs.ActKill, specs.ActKillProcess, specs.ActTrap, specs.ActErrno,
		specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActLog,
	}
	operators := []specs.LinuxSeccompOperator{
		specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
		specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual,
	}
	s := &specs.LinuxSeccomp{DefaultAction: actions[int(r.next())%len(actions)]}
	for range r.next() % 4 {
		s.Architectures = append(s.Architectures, architectures[int(r.next())%9].name)
	}
	for range r.next() % 24 {
		c := specs.LinuxSyscall{Action: actions[int(r.next())%len(actions)]}
		if c.Action == specs.ActErrno && r.next()&1 == 0 {
			c.ErrnoRet = errno(uint(r.next()))
		}
		for range 1 + r.next()%6 {
			c.Names = append(c.Names, callName((int(r.next())<<8|int(r.next()))%callCount))
		}
		for range r.next() % 4 {
			v := uint64(r.next()) << (r.next() % 64)
			c.Args = append(c.Args, specs.LinuxSeccompArg{
				Index: uint(r.next() % 6), Op: operators[int(r.next())%len(operators)],
				Value: v, ValueTwo: v & (uint64(r.next()) << (r.next() % 64)),
			})
		}
		s.Syscalls = append(s.Syscalls, c)
	}
	return s
}
