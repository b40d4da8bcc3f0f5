package cgroup

import "encoding/binary"

// Instructions of eBPF that a device program needs (linux/bpf.h): code, registers, offset, number.
const (
	bpfLoad    = 0x61 // BPF_LDX|BPF_MEM|BPF_W
	bpfMoveReg = 0xbf // BPF_ALU64|BPF_MOV|BPF_X
	bpfMove    = 0xb7 // BPF_ALU64|BPF_MOV|BPF_K
	bpfAnd     = 0x57 // BPF_ALU64|BPF_AND|BPF_K
	bpfShift   = 0x77 // BPF_ALU64|BPF_RSH|BPF_K
	bpfEqual   = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	bpfOther   = 0x55 // BPF_JMP|BPF_JNE|BPF_K
	bpfOther32 = 0x56 // BPF_JMP32|BPF_JNE|BPF_K
	bpfExit    = 0x95

	deviceBlock = 1 // BPF_DEVCG_DEV_BLOCK
	deviceChar  = 2 // BPF_DEVCG_DEV_CHAR
)

type bpfInstruction struct {
	code     byte
	dst, src byte
	offset   int16
	number   int32
}

// program gives the BPF_PROG_TYPE_CGROUP_DEVICE program for the rules, returning 1 to permit. It goes
// from the last rule to the first; r6 holds the kinds of access that no rule has decided yet:
// a rule that permits takes its own away, one that forbids ends it if one of its own is left.
func (d devices) program() []bpfInstruction {
	const kind, left, major, minor, scratch = 2, 6, 4, 5, 0
	p := []bpfInstruction{
		{code: bpfLoad, dst: kind, src: 1, offset: 0},
		{code: bpfMoveReg, dst: left, src: kind},
		{code: bpfAnd, dst: kind, number: 0xffff},
		{code: bpfShift, dst: left, number: 16},
		{code: bpfLoad, dst: major, src: 1, offset: 4},
		{code: bpfLoad, dst: minor, src: 1, offset: 8},
	}
	for i := len(d.rules) - 1; i >= 0; i-- {
		r := d.rules[i]
		var body []bpfInstruction
		if r.allow {
			body = []bpfInstruction{
				{code: bpfAnd, dst: left, number: int32(accessAll &^ r.access)},
				{code: bpfOther, dst: left, offset: 2},
			}
		} else {
			body = []bpfInstruction{
				{code: bpfMoveReg, dst: scratch, src: left},
				{code: bpfAnd, dst: scratch, number: int32(r.access)},
				{code: bpfEqual, dst: scratch, offset: 2},
			}
		}
		body = append(body, bpfInstruction{code: bpfMove, number: truth(r.allow)}, bpfInstruction{code: bpfExit})
		tests := []bpfInstruction{{code: bpfOther, dst: kind, number: deviceChar}}
		if r.kind == 'b' {
			tests[0].number = deviceBlock
		}
		if r.major != anyNumber {
			tests = append(tests, notNumber(major, r.major))
		}
		if r.minor != anyNumber {
			tests = append(tests, notNumber(minor, r.minor))
		}
		for j := range tests {
			tests[j].offset = int16(len(tests) - 1 - j + len(body))
		}
		p = append(append(p, tests...), body...)
	}
	return append(p, bpfInstruction{code: bpfMove, number: truth(d.allow)}, bpfInstruction{code: bpfExit})
}

// notNumber jumps if a register is not n. The number of an instruction is signed: the upper half
// of the device numbers, which no driver uses, needs the 32-bit comparison of Linux 5.1.
func notNumber(register byte, n int64) bpfInstruction {
	in := bpfInstruction{code: bpfOther, dst: register, number: int32(uint32(n))}
	if in.number < 0 {
		in.code = bpfOther32
	}
	return in
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// encode gives struct bpf_insn for each instruction, in the byte order of this machine.
func encode(p []bpfInstruction) []byte {
	b := make([]byte, 0, 8*len(p))
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	for _, in := range p {
		registers := in.src<<4 | in.dst
		if !little {
			registers = in.dst<<4 | in.src
		}
		b = append(b, in.code, registers)
		b = binary.NativeEndian.AppendUint16(b, uint16(in.offset))
		b = binary.NativeEndian.AppendUint32(b, uint32(in.number))
	}
	return b
}
