package seccomp

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Version changes whenever the same profile may compile to another program: a part of the key of
// whatever keeps compiled programs.
const Version = 1

const opCompile = "compile seccomp"

// Compile gives the filter for a profile on a machine of the native architecture: what it decides
// and refuses is said in the package comment. It changes nothing and asks nothing of the machine.
func Compile(s *specs.LinuxSeccomp, native Arch) (Program, error) {
	if s == nil {
		return Program{}, &Error{Op: opCompile, Err: ErrNoProfile}
	}
	var c compiler
	if err := c.architectures(s.Architectures, native); err != nil {
		return Program{}, err
	}
	var err error
	if c.standard, err = action(s.DefaultAction, s.DefaultErrnoRet, -1, "/defaultAction", "/defaultErrnoRet"); err != nil {
		return Program{}, err
	}
	if c.standard == retNotify {
		// The exec that starts the container would wait for an agent that does not have the listener yet.
		return Program{}, &Error{Op: opCompile, Subject: "/defaultAction", Err: ErrNotify}
	}
	if s.ListenerMetadata != "" && s.ListenerPath == "" {
		return Program{}, &Error{Op: opCompile, Subject: "/listenerMetadata", Clause: spec.RuntimeSeccompMetadata, Err: ErrNotify}
	}
	for i := range s.Syscalls {
		if err := c.add(&s.Syscalls[i], i); err != nil {
			return Program{}, err
		}
	}
	p := Program{NeedsListener: c.notify, Unknown: c.unknown, big: c.groups[0].big}
	if p.Flags, err = flags(s.Flags, c.notify); err != nil {
		return Program{}, err
	}
	if p.Instructions, err = c.assemble(); err != nil {
		return Program{}, err
	}
	return p, nil
}

// rule is what one entry of the profile says about each of its calls.
type rule struct {
	conds []condition // all must hold; none: always
	ret   uint32
}

// abi is one way to make calls on one AUDIT_ARCH_*: its own names and numbers.
type abi struct {
	archInfo
	base, end uint32 // the range of its numbers: x32 and x86_64 share an AUDIT_ARCH_*
	newest    uint32 // number of the newest call that the profile knows; 0: knows none
}

// group is what one AUDIT_ARCH_* needs: the part of the program that a call of it is sent to.
type group struct {
	abis    []abi // by base
	big     bool
	is32    bool
	audit   uint32
	entries []uint64 // number, order of appearance and rule of each rule for a call: entry
}

// entry packs what the rules are sorted by, and the rule, so that sorting moves words only.
func entry(number uint32, order, rule int) uint64 {
	return uint64(number)<<32 | uint64(order)<<16 | uint64(rule)
}

const maxEntries = 1 << 16 // order and rule have 16 bits in an entry; a real profile has under 2,000

type compiler struct {
	groups   []group // the native one first
	rules    []rule
	standard uint32 // what is returned for a call without rules
	mux      bool   // some architecture has multiplexers
	notify   bool
	unknown  []string
}

func (c *compiler) architectures(listed []Arch, native Arch) error {
	own, ok := lookupArch(native)
	if !ok || own.row < 0 || own.name == specs.ArchX32 {
		return &Error{Op: opCompile, Subject: string(native), Err: ErrArchitecture}
	}
	c.architecture(own)
	for i, name := range listed {
		a, ok := lookupArch(name)
		if !ok {
			return &Error{
				Op: opCompile, Subject: "/architectures/" + strconv.Itoa(i),
				Clause: spec.RuntimeSeccompArch, Err: ErrArchitecture,
			}
		}
		if a.row >= 0 && a.runsOn(native) {
			c.architecture(a)
		}
	}
	return nil
}

func (c *compiler) architecture(a archInfo) {
	b := abi{archInfo: a, end: ^uint32(0)}
	switch a.name {
	case specs.ArchX86_64:
		b.end = x32Bit - 1
	case specs.ArchX32:
		b.base = x32Bit
	}
	c.mux = c.mux || a.mux
	for i := range c.groups {
		g := &c.groups[i]
		if g.audit != a.audit {
			continue
		}
		if g.abis[len(g.abis)-1].name != a.name && g.abis[0].name != a.name {
			g.abis = append(g.abis, b)
		}
		return
	}
	c.groups = append(c.groups, group{
		abis: []abi{b}, big: a.big, is32: a.is32, audit: a.audit, entries: make([]uint64, 0, 1024),
	})
}

// at is the path of an entry of the profile, "" for -1. It is made for errors only: compiling is on
// the way of every container start.
func at(index int) string {
	if index < 0 {
		return ""
	}
	return "/syscalls/" + strconv.Itoa(index)
}

// add takes in one entry of the profile.
func (c *compiler) add(s *specs.LinuxSyscall, index int) error {
	if len(s.Names) == 0 {
		return &Error{Op: opCompile, Subject: at(index) + "/names", Clause: spec.RuntimeSeccompNames, Err: ErrName}
	}
	ret, err := action(s.Action, s.ErrnoRet, index, "/action", "/errnoRet")
	if err != nil {
		return err
	}
	conds, err := conditions(s.Args, index)
	if err != nil {
		return err
	}
	first := len(c.rules)
	switch {
	case ret == c.standard: // says nothing new, but its names count for what the profile knows
	case repeated(conds):
		for i := range conds {
			c.rules = append(c.rules, rule{conds[i : i+1], ret})
		}
	default:
		c.rules = append(c.rules, rule{conds, ret})
	}
	own, hint := len(c.rules), 0
	for _, name := range s.Names {
		if name == "" || ret == retNotify && name == "write" {
			// With write the child could not report its listener: refused by runc for the same reason.
			kind := ErrName
			if name != "" {
				kind = ErrNotify
			}
			return &Error{Op: opCompile, Subject: at(index) + "/names", Err: kind}
		}
		call := findCall(name, hint)
		if call < 0 {
			c.unknown = append(c.unknown, name)
			continue
		}
		hint = call + 1
		if err := c.name(name, call, first, own, index); err != nil {
			return err
		}
	}
	return nil
}

// name adds the rules [first, own) to a call in every architecture that has it.
func (c *compiler) name(name string, call, first, own, index int) error {
	through, value := "", uint64(0)
	if c.mux && first < own {
		through, value = muxed(name)
	}
	for i := range c.groups {
		g := &c.groups[i]
		for j := range g.abis {
			b := &g.abis[j]
			if n, ok := b.number(call); ok {
				b.newest = max(b.newest, newest(n))
				for r := first; r < own; r++ {
					g.entries = append(g.entries, entry(b.base|n, len(g.entries), r))
				}
				c.notify = c.notify || first < own && c.rules[first].ret == retNotify
			}
			if b.mux && through != "" {
				c.multiplexed(g, b, through, value, c.rules[first])
			}
		}
		if len(g.entries) >= maxEntries || len(c.rules) >= maxEntries {
			return &Error{Op: opCompile, Subject: at(index), Err: ErrTooLarge}
		}
	}
	return nil
}

// newest leaves arm's private calls out of what a profile knows: they lie far above all others.
func newest(n uint32) uint32 {
	if n >= armBase {
		return 0
	}
	return n
}

// multiplexed carries a rule over to a multiplexer, whose first argument says which call is meant.
// Its upper bits are not looked at on 64-bit machines either: the kernel takes an int (ipc keeps a
// version number in the bits above 15, which no C library sets).
func (c *compiler) multiplexed(g *group, b *abi, through string, value uint64, r rule) {
	call := findCall(through, 0)
	n, ok := b.number(call)
	if !ok || len(r.conds) > 0 && permissive(r.ret) {
		return
	}
	mask := uint64(0xffffffff)
	if through == "ipc" {
		mask = 0xffff
	}
	c.rules = append(c.rules, rule{
		conds: []condition{{arg: 0, op: specs.OpMaskedEqual, value: mask, two: value}}, ret: r.ret,
	})
	g.entries = append(g.entries, entry(b.base|n, len(g.entries), len(c.rules)-1))
}
