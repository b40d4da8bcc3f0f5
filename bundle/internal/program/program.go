package program

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Program is what the kernel sees of a file that it is to execute.
type Program struct {
	Head    []byte // its beginning
	ELF     bool
	Bits    int    // 32 or 64
	Machine uint16 // e_machine of ELF
	Loader  string // interpreter of an ELF program or of a script; "" for none
	Script  bool
	Torn    bool // the segments of an ELF program cannot be read
}

// Parse reads the beginning of a program as execve(2) does; read fills b from a place in the file.
func Parse(head []byte, read func(b []byte, at int64) bool) *Program {
	p := &Program{Head: head}
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		p.Script = true
		if words := strings.Fields(string(line)); len(words) > 0 {
			p.Loader = words[0]
		}
		return p
	}
	if len(head) < 64 || string(head[:4]) != "\x7fELF" {
		return p
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	p.ELF, p.Bits, p.Machine = true, 32, order.Uint16(head[18:])
	at, size, count := int64(order.Uint32(head[28:])), int64(order.Uint16(head[42:])), int(order.Uint16(head[44:]))
	if head[4] == 2 {
		p.Bits = 64
		at, size, count = int64(order.Uint64(head[32:])), int64(order.Uint16(head[54:])), int(order.Uint16(head[56:]))
	}
	const ptInterp = 3
	p.Torn = count == 0
	for i := range min(count, 64) {
		b := make([]byte, 56)
		if p.Bits == 32 {
			b = b[:32]
		}
		if at < 0 || size < int64(len(b)) || !read(b, at+int64(i)*size) {
			p.Torn = true
			break
		}
		if order.Uint32(b) != ptInterp {
			continue
		}
		from, n := int64(order.Uint32(b[4:])), uint64(order.Uint32(b[16:]))
		if p.Bits == 64 {
			from, n = int64(order.Uint64(b[8:])), order.Uint64(b[32:])
		}
		if name := make([]byte, min(n, 4096)); from >= 0 && read(name, from) {
			p.Loader = string(bytes.TrimRight(name, "\x00"))
		} else {
			p.Torn = true
		}
		break
	}
	return p
}
