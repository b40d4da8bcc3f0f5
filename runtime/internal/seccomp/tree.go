package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// interval is a range of numbers, up to the low of the next interval, with the same answer: what
// the chain of rules says or, without a chain, ret.
type interval struct {
	low   uint32
	chain int // index in layout.chains, or -1
	ret   uint32
}

// layout is a group as intervals that cover all numbers, in order.
type layout struct {
	intervals []interval
	chains    [][]uint16 // indices of rules, to be tried in order
}

func (l *layout) put(low uint64, chain int, ret uint32) {
	if n := len(l.intervals); n > 0 && l.intervals[n-1].chain == chain && l.intervals[n-1].ret == ret {
		return
	}
	l.intervals = append(l.intervals, interval{uint32(low), chain, ret})
}

// chain gives the index of a chain with these rules: x86_64 and x32 share most of theirs.
func (l *layout) chain(rules []uint16) int {
	for i, have := range l.chains {
		if slices.Equal(have, rules) {
			return i
		}
	}
	l.chains = append(l.chains, slices.Clone(rules))
	return len(l.chains) - 1
}

func (c *compiler) layout(g *group) layout {
	slices.Sort(g.entries)
	slices.SortFunc(g.abis, func(a, b abi) int {
		if a.base < b.base {
			return -1
		}
		return 1
	})
	var l layout
	rest := g.entries
	for i := range g.abis {
		rest = c.layoutABI(&l, &g.abis[i], rest)
	}
	if last := g.abis[len(g.abis)-1]; last.end == x32Bit-1 {
		// The x32 ABI was not asked for. Number -1 is what a tracer sets to skip a call.
		l.put(x32Bit, -1, retKillThread)
		l.put(1<<32-1, -1, c.standard)
	}
	return l
}

// layoutABI adds the intervals of one ABI and gives the entries above it.
func (c *compiler) layoutABI(l *layout, b *abi, rest []uint64) []uint64 {
	next, known := uint64(b.base), uint64(b.base)+uint64(b.newest)+1
	unheard := uint32(retErrno | enosys)
	if permissive(c.standard) || b.newest == 0 {
		unheard = c.standard
	}
	fill := func(to uint64) { // answers the numbers from next to below to, for which there is no rule
		if next < min(to, known) {
			l.put(next, -1, c.standard)
		}
		if low := max(next, known); low < to {
			l.put(low, -1, unheard)
		}
	}
	if b.name == specs.ArchS390X && unheard != c.standard {
		l.put(0, -1, unheard) // "setup": the kernel leaves 0 for calls that it does not know
		next = 1
	}
	rules := make([]uint16, 0, 8)
	for len(rest) > 0 {
		number := rest[0] >> 32
		if number > uint64(b.end) {
			break
		}
		rules = rules[:0]
		for len(rest) > 0 && rest[0]>>32 == number {
			rules = append(rules, uint16(rest[0]))
			rest = rest[1:]
		}
		if number < next {
			continue
		}
		fill(number)
		if r := slices.IndexFunc(rules, func(r uint16) bool { return len(c.rules[r].conds) == 0 }); r >= 0 {
			l.put(number, -1, c.rules[rules[r]].ret)
		} else {
			l.put(number, l.chain(rules), 0)
		}
		next = number + 1
	}
	fill(uint64(b.end) + 1)
	return rest
}

// assemble gives the whole program: a switch over the architectures, then each group.
func (c *compiler) assemble() ([]Instruction, error) {
	a := assembler{code: make([]Instruction, 0, 512)}
	groups := make([]target, len(c.groups))
	for i := len(c.groups) - 1; i >= 0; i-- {
		groups[i] = c.group(&a, &c.groups[i])
		if len(a.code) > maxInstructions {
			return nil, &Error{Op: opCompile, Err: ErrTooLarge}
		}
	}
	next := returning(retKillThread)
	for i := len(groups) - 1; i >= 0; i-- {
		next = a.branch(opEqual, c.groups[i].audit, groups[i], next)
	}
	if next.label < 0 { // the same answer for every call of every architecture
		a.emit(Instruction{Code: opReturn, K: next.ret})
	} else {
		a.load(offsetArch, next)
	}
	if len(a.code) > maxInstructions {
		return nil, &Error{Op: opCompile, Err: ErrTooLarge}
	}
	return a.program(), nil
}

// group emits the part of a program for one AUDIT_ARCH_*.
func (c *compiler) group(a *assembler, g *group) target {
	l := c.layout(g)
	chains := make([]target, len(l.chains))
	for i := len(chains) - 1; i >= 0; i-- {
		chains[i] = c.chain(a, g, l.chains[i])
		if len(a.code) > maxInstructions {
			return returning(retKillThread) // the caller refuses the program
		}
	}
	t := search(a, l.intervals, chains)
	if t.label < 0 { // a single answer: the branch of the caller goes there at once
		return t
	}
	return a.load(offsetNumber, t)
}

// search emits a binary search for the interval of the number in the accumulator.
func search(a *assembler, in []interval, chains []target) target {
	if len(in) == 1 {
		if in[0].chain >= 0 {
			return chains[in[0].chain]
		}
		return returning(in[0].ret)
	}
	mid := len(in) / 2
	above := search(a, in[mid:], chains)
	below := search(a, in[:mid], chains)
	return a.branch(opAtLeast, in[mid].low, above, below)
}

// chain emits the rules of one call, the last one first.
func (c *compiler) chain(a *assembler, g *group, rules []uint16) target {
	next := returning(c.standard)
	for i := len(rules); i > 0; {
		n := c.equals(rules[:i], g.is32)
		if n > 1 {
			next = c.oneOf(a, g, rules[i-n:i], next)
			i -= n
			continue
		}
		r := c.rules[rules[i-1]]
		yes := returning(r.ret)
		for j := len(r.conds) - 1; j >= 0; j-- {
			yes = compare(a, g, r.conds[j], yes, next)
		}
		next = yes
		i--
	}
	return next
}

// equals says how many rules at the end compare the same argument for equality, with the same
// upper half and the same answer: a list of permitted socket families, for example.
func (c *compiler) equals(rules []uint16, is32 bool) int {
	last := c.rules[rules[len(rules)-1]]
	n := 0
	for i := len(rules) - 1; i >= 0; i-- {
		r := c.rules[rules[i]]
		if len(r.conds) != 1 || r.conds[0].op != specs.OpEqualTo || r.conds[0].arg != last.conds[0].arg ||
			r.ret != last.ret || !is32 && r.conds[0].value>>32 != last.conds[0].value>>32 {
			break
		}
		n++
	}
	return n
}

// oneOf emits rules that equals found: the halves of the argument are loaded once.
func (c *compiler) oneOf(a *assembler, g *group, rules []uint16, no target) target {
	first := c.rules[rules[0]]
	cond := first.conds[0]
	yes, next := returning(first.ret), no
	for i := len(rules) - 1; i >= 0; i-- {
		next = a.branch(opEqual, uint32(c.rules[rules[i]].conds[0].value), yes, next)
	}
	next = a.load(g.lower(cond.arg), next)
	if g.is32 {
		return next
	}
	return a.load(g.upper(cond.arg), a.branch(opEqual, uint32(cond.value>>32), next, no))
}

func (g *group) lower(arg uint32) uint32 {
	if g.big {
		return offsetArgs + 8*arg + 4
	}
	return offsetArgs + 8*arg
}

func (g *group) upper(arg uint32) uint32 {
	if g.big {
		return offsetArgs + 8*arg
	}
	return offsetArgs + 8*arg + 4
}

// compare emits one condition.
func compare(a *assembler, g *group, c condition, yes, no target) target {
	switch c.op {
	case specs.OpNotEqual:
		return equal(a, g, c, no, yes)
	case specs.OpEqualTo:
		return equal(a, g, c, yes, no)
	case specs.OpMaskedEqual:
		return maskedEqual(a, g, c, yes, no)
	case specs.OpGreaterEqual:
		return order(a, g, c, opAtLeast, yes, no)
	case specs.OpLessThan:
		return order(a, g, c, opAtLeast, no, yes)
	case specs.OpGreaterThan:
		return order(a, g, c, opGreater, yes, no)
	default: // specs.OpLessEqual: conditions let no other through
		return order(a, g, c, opGreater, no, yes)
	}
}

func equal(a *assembler, g *group, c condition, yes, no target) target {
	t := a.load(g.lower(c.arg), a.branch(opEqual, uint32(c.value), yes, no))
	if g.is32 {
		return t
	}
	return a.load(g.upper(c.arg), a.branch(opEqual, uint32(c.value>>32), t, no))
}

func order(a *assembler, g *group, c condition, op uint16, yes, no target) target {
	t := a.load(g.lower(c.arg), a.branch(op, uint32(c.value), yes, no))
	if g.is32 {
		return t
	}
	// The upper half decides if it is greater or less; if it is equal the lower half does.
	t = a.branch(opEqual, uint32(c.value>>32), t, no)
	return a.load(g.upper(c.arg), a.branch(opGreater, uint32(c.value>>32), yes, t))
}

func maskedEqual(a *assembler, g *group, c condition, yes, no target) target {
	t := masked(a, g.lower(c.arg), uint32(c.value), uint32(c.two), yes, no)
	if g.is32 {
		return t
	}
	return masked(a, g.upper(c.arg), uint32(c.value>>32), uint32(c.two>>32), t, no)
}

func masked(a *assembler, offset, mask, want uint32, yes, no target) target {
	if mask == 0 {
		if want == 0 {
			return yes
		}
		return no
	}
	t := a.branch(opEqual, want, yes, no)
	if t.label < 0 || t.label != len(a.code)-1 {
		return t
	}
	return a.load(offset, a.emit(Instruction{Code: opAnd, K: mask}))
}
