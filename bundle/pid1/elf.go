package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrMachine is wrapped by the error for a machine that the init was not written for.
var ErrMachine = errors.New("no init for this machine")

// Addresses of the program: one segment, which begins with the headers; 64 KiB are a page of every kernel.
const (
	base   = 0x10000
	align  = 0x10000
	header = 64
	entry  = 56 // of the table of segments

	constants = header + 2*entry
)

// order is the byte order of both machines.
var order = binary.LittleEndian

// ELF gives the program for a machine, by Go's name of it: amd64 (386 runs there too) or arm64. The error wraps ErrMachine.
func ELF(arch string) ([]byte, error) {
	var machine uint16
	var code string
	switch arch {
	case "amd64":
		machine, code = 62, amd64Code // EM_X86_64
	case "arm64":
		machine, code = 183, arm64Code // EM_AARCH64
	default:
		return nil, fmt.Errorf("%w: %s", ErrMachine, arch)
	}
	return program(machine, code), nil
}

// text are the constants that the code refers to by their place, from constants on: see source/init_amd64.s.
func text() string {
	return strings.Repeat("\xff", 8) + // all signals. Those of faults are forced on who blocks them, so they may be in
		strings.Repeat("\x00", 32) + // struct sigaction: SIG_DFL
		"/dev/tty\x00" + "\x00" + "/\x00" +
		"oci-init: " + ": not found\n" + ": cannot be executed\n" + "no program\n" + "cannot start a process\n" +
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\x00" +
		"LISTEN_PID=1\x00" + "PATH="
}

func program(machine uint16, code string) []byte {
	body := text()
	body += strings.Repeat("\x00", -len(body)&15) // instructions are aligned
	start := constants + len(body)
	out := make([]byte, constants, start+len(code))
	copy(out, "\x7fELF\x02\x01\x01")
	order.PutUint16(out[16:], 2) // ET_EXEC
	order.PutUint16(out[18:], machine)
	order.PutUint32(out[20:], 1)
	order.PutUint64(out[24:], base+uint64(start))
	order.PutUint64(out[32:], header)
	order.PutUint16(out[52:], header)
	order.PutUint16(out[54:], entry)
	order.PutUint16(out[56:], 2)
	const load, stack, r, w, x = 1, 0x6474e551, 4, 2, 1
	size := uint64(start + len(code))
	segment(out[header:], load, r|x, base, size)
	segment(out[header+entry:], stack, r|w, 0, 0) // and no executable one
	return append(append(out, body...), code...)
}

func segment(b []byte, kind, flags uint32, address, size uint64) {
	order.PutUint32(b[0:], kind)
	order.PutUint32(b[4:], flags)
	order.PutUint64(b[16:], address)
	order.PutUint64(b[24:], address)
	order.PutUint64(b[32:], size)
	order.PutUint64(b[40:], size)
	order.PutUint64(b[48:], align)
}
