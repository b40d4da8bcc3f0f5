package seccomp

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Instruction is one instruction of classic BPF: struct sock_filter of linux/filter.h.
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// Program is a compiled filter, ready for seccomp(SECCOMP_SET_MODE_FILTER, Flags, ...).
type Program struct {
	Instructions []Instruction
	// Flags are SECCOMP_FILTER_FLAG_*. TSYNC is left out: the filter is installed by a process with
	// one thread, and it excludes the listener.
	Flags uint32
	// NeedsListener says that a rule notifies, so Flags has NEW_LISTENER and the call returns a file
	// descriptor, which must be sent to listenerPath.
	NeedsListener bool
	// Unknown are the names in the profile that no supported architecture has, in the profile's order.
	Unknown []string
	// big is the byte order of the architecture that the program is for.
	big bool
}

// Flags of seccomp(2), from linux/seccomp.h.
const (
	flagLog              = 1 << 1
	flagSpecAllow        = 1 << 2
	flagNewListener      = 1 << 3
	flagWaitKillableRecv = 1 << 5
)

// maxInstructions is BPF_MAXINSNS: the kernel refuses longer programs.
const maxInstructions = 4096

// Bytes is the program as the kernel takes it: 8 bytes an instruction, in the byte order of the
// architecture that it was compiled for.
func (p Program) Bytes() []byte {
	b := make([]byte, 8*len(p.Instructions))
	var order binary.ByteOrder = binary.LittleEndian
	if p.big {
		order = binary.BigEndian
	}
	for i, in := range p.Instructions {
		at := b[8*i : 8*i+8]
		order.PutUint16(at, in.Code)
		at[2], at[3] = in.JT, in.JF
		order.PutUint32(at[4:], in.K)
	}
	return b
}

// String is a listing, one instruction a line, with absolute jump targets.
func (p Program) String() string {
	var b strings.Builder
	for i, in := range p.Instructions {
		fmt.Fprintf(&b, "%4d  ", i)
		jump := func(op string) {
			fmt.Fprintf(&b, "%s %#x ? %d : %d\n", op, in.K, i+1+int(in.JT), i+1+int(in.JF))
		}
		switch in.Code {
		case opLoad:
			fmt.Fprintf(&b, "load %s\n", fieldName(in.K))
		case opAnd:
			fmt.Fprintf(&b, "and %#x\n", in.K)
		case opJump:
			fmt.Fprintf(&b, "jump %d\n", i+1+int(in.K))
		case opEqual:
			jump("==")
		case opGreater:
			jump(">")
		case opAtLeast:
			jump(">=")
		default:
			fmt.Fprintf(&b, "return %s\n", returnName(in.K))
		}
	}
	return b.String()
}

func fieldName(offset uint32) string {
	switch offset {
	case offsetNumber:
		return "nr"
	case offsetArch:
		return "arch"
	}
	return fmt.Sprintf("arg%d+%d", (offset-offsetArgs)/8, (offset-offsetArgs)%8)
}

func returnName(k uint32) string {
	switch k & 0xffff0000 {
	case retKillProcess:
		return "kill_process"
	case retKillThread:
		return "kill_thread"
	case retTrap:
		return "trap"
	case retErrno:
		return fmt.Sprintf("errno %d", k&0xffff)
	case retNotify:
		return "notify"
	case retTrace:
		return fmt.Sprintf("trace %d", k&0xffff)
	case retLog:
		return "log"
	case retAllow:
		return "allow"
	}
	return fmt.Sprintf("%#x", k)
}
