package seccomp

// Operations of classic BPF that a filter needs (linux/bpf_common.h), and the offsets of struct
// seccomp_data (linux/seccomp.h).
const (
	opLoad    = 0x20 // BPF_LD|BPF_W|BPF_ABS
	opAnd     = 0x54 // BPF_ALU|BPF_AND|BPF_K
	opJump    = 0x05 // BPF_JMP|BPF_JA
	opEqual   = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	opGreater = 0x25 // BPF_JMP|BPF_JGT|BPF_K
	opAtLeast = 0x35 // BPF_JMP|BPF_JGE|BPF_K
	opReturn  = 0x06 // BPF_RET|BPF_K

	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// reach is how far a conditional jump may go when two more instructions can still come between:
// offsets have 8 bits.
const reach = 255 - 2

// target is where a jump goes: to a return, which is placed near enough when it is needed, or to
// the instruction with the given label.
type target struct {
	label int // of an instruction, or -1
	ret   uint32
}

func returning(ret uint32) target { return target{label: -1, ret: ret} }

// assembler collects a program from its end to its beginning. The label of an instruction is how
// many instructions follow it.
type assembler struct {
	code []Instruction
	rets []target // for each value the nearest return
}

func (a *assembler) emit(in Instruction) target {
	a.code = append(a.code, in)
	return target{label: len(a.code) - 1}
}

// near gives the label of an instruction within reach that does what t does, emitting it if need be.
func (a *assembler) near(t target) int {
	if t.label < 0 {
		return a.nearReturn(t.ret)
	}
	distance := len(a.code) - t.label - 1
	if distance <= reach {
		return t.label
	}
	if far := a.code[t.label]; far.Code == opReturn {
		return a.nearReturn(far.K)
	}
	return a.emit(Instruction{Code: opJump, K: uint32(distance)}).label
}

func (a *assembler) nearReturn(ret uint32) int {
	for i, r := range a.rets {
		if r.ret != ret {
			continue
		}
		if len(a.code)-r.label-1 > reach {
			a.rets[i].label = a.emit(Instruction{Code: opReturn, K: ret}).label
		}
		return a.rets[i].label
	}
	t := a.emit(Instruction{Code: opReturn, K: ret})
	a.rets = append(a.rets, target{label: t.label, ret: ret})
	return t.label
}

// branch emits a comparison of the accumulator with k and the jumps to yes and to no.
func (a *assembler) branch(code uint16, k uint32, yes, no target) target {
	if yes == no {
		return yes
	}
	t, f := a.near(yes), a.near(no)
	at := len(a.code)
	return a.emit(Instruction{Code: code, K: k, JT: uint8(at - t - 1), JF: uint8(at - f - 1)})
}

// load puts a load of the word at offset before t, which is the instruction emitted last. A
// target that is a return, or lies elsewhere, needs no load.
func (a *assembler) load(offset uint32, t target) target {
	if t.label < 0 || t.label != len(a.code)-1 {
		return t
	}
	return a.emit(Instruction{Code: opLoad, K: offset})
}

// program gives the instructions from the first to the last.
func (a *assembler) program() []Instruction {
	n := len(a.code)
	p := make([]Instruction, n)
	for i, in := range a.code {
		p[n-1-i] = in
	}
	return p
}
