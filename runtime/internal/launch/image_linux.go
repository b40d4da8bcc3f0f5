package launch

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// Addresses and layout of the program. The interpreter knows dataBase and the offsets of a step.
const (
	codeBase = 0x10000000
	dataBase = 0x20000000
	slotBase = 0x30000000

	headerSize = 64 // data segment: report fd, address of the steps, a record, padding
	stepSize   = 104

	flagNotZero = 1 << 6 // bits 0 to 5: load the argument from its slot

	elfHeader  = 64
	elfProgram = 56
)

// pageSize is the largest page that a kernel for this machine may use: segments begin on such boundaries.
func pageSize() int {
	if runtime.GOARCH == "amd64" {
		return 4096
	}
	return 65536
}

// order is the byte order of the machines that have an interpreter.
var order = binary.LittleEndian

// image lays out the data segment of a plan: header, steps, constants. Slots have a segment of
// zeroed memory, which takes no space in the file.
type image struct {
	plan    *plan.Plan
	data    []byte
	strings map[string]uint64
	labels  map[string]int
}

// encode returns the ELF image that executes p.
func encode(p *plan.Plan) ([]byte, error) {
	code := stubCode()
	if code == nil {
		return nil, fmt.Errorf("no interpreter for %s", runtime.GOARCH)
	}
	im := image{plan: p, strings: map[string]uint64{}, labels: map[string]int{}}
	for i := range p.Steps {
		if l := p.Steps[i].Label; l != "" {
			if _, dup := im.labels[l]; dup {
				return nil, fmt.Errorf("step %d: label %s is not unique", i, l)
			}
			im.labels[l] = i
		}
	}
	if err := im.segment(); err != nil {
		return nil, err
	}
	return im.elf(code), nil
}

func (im *image) segment() error {
	const steps = headerSize
	im.data = make([]byte, steps+len(im.plan.Steps)*stepSize, steps+len(im.plan.Steps)*stepSize+16384)
	order.PutUint64(im.data[0:], uint64(im.plan.FDs.Report))
	order.PutUint64(im.data[8:], dataBase+uint64(steps))
	for i := range im.plan.Steps {
		if err := im.step(steps+i*stepSize, &im.plan.Steps[i]); err != nil {
			return fmt.Errorf("step %d (%s): %w", i, im.plan.Steps[i].Name, err)
		}
	}
	return nil
}

func (im *image) step(at int, s *plan.Step) error {
	if len(s.Args) > 6 || len(s.Rules) > plan.MaxRules {
		return fmt.Errorf("%d arguments, %d rules", len(s.Args), len(s.Rules))
	}
	order.PutUint32(im.data[at:], s.Nr)
	flags := uint32(0)
	if s.NotZero {
		flags |= flagNotZero
	}
	for i, a := range s.Args {
		if a.Kind == plan.Load {
			flags |= 1 << i
		}
		if err := im.arg(at+8+i*8, a); err != nil {
			return err
		}
	}
	order.PutUint32(im.data[at+4:], flags)
	if s.Store != 0 {
		order.PutUint64(im.data[at+56:], slotAddress(s.Store))
	}
	for i, r := range s.Rules {
		n, err := im.label(r.Goto)
		if err != nil {
			return err
		}
		order.PutUint32(im.data[at+64+i*8:], r.Errno)
		order.PutUint32(im.data[at+68+i*8:], uint32(n))
	}
	ok := -1
	if s.OK != "" {
		n, err := im.label(s.OK)
		if err != nil {
			return err
		}
		ok = n
	}
	order.PutUint32(im.data[at+96:], uint32(int32(ok)))
	return nil
}

func (im *image) label(l string) (int, error) {
	n, ok := im.labels[l]
	if !ok {
		return 0, fmt.Errorf("no step is labelled %s", l)
	}
	return n, nil
}

func slotAddress(s plan.Slot) uint64 { return slotBase + uint64(s)*8 }

// arg writes the 64 bits of a at offset at of the data segment.
func (im *image) arg(at int, a plan.Arg) error {
	var v uint64
	switch a.Kind {
	case plan.Immediate:
		v = a.Value
	case plan.Load, plan.AddressOf:
		v = slotAddress(a.Slot)
	case plan.Text:
		v = im.text(a.String)
	case plan.Memory:
		off := im.append(a.Bytes, 8)
		for _, r := range a.Relocs {
			if err := im.arg(off+r.Offset, r.Arg); err != nil {
				return err
			}
		}
		v = dataBase + uint64(off)
	case plan.Target:
		n, err := im.label(a.String)
		if err != nil {
			return err
		}
		v = uint64(n)
	default:
		return fmt.Errorf("argument of kind %d", a.Kind)
	}
	order.PutUint64(im.data[at:], v)
	return nil
}

// text returns the address of s, stored once.
func (im *image) text(s string) uint64 {
	if a, ok := im.strings[s]; ok {
		return a
	}
	off := len(im.data)
	im.data = append(append(im.data, s...), 0)
	im.strings[s] = dataBase + uint64(off)
	return im.strings[s]
}

func (im *image) append(b []byte, align int) int {
	for len(im.data)%align != 0 {
		im.data = append(im.data, 0)
	}
	off := len(im.data)
	im.data = append(im.data, b...)
	return off
}

// elf puts code and data into an executable of three segments.
func (im *image) elf(code []byte) []byte {
	codeOff := elfHeader + 4*elfProgram
	dataOff := (codeOff + len(code) + pageSize() - 1) &^ (pageSize() - 1)
	out := make([]byte, dataOff, dataOff+len(im.data))
	copy(out, "\x7fELF\x02\x01\x01")
	order.PutUint16(out[16:], 2) // ET_EXEC
	order.PutUint16(out[18:], elfMachine())
	order.PutUint32(out[20:], 1)
	order.PutUint64(out[24:], codeBase+uint64(codeOff)) // entry
	order.PutUint64(out[32:], elfHeader)                // program headers
	order.PutUint16(out[52:], elfHeader)
	order.PutUint16(out[54:], elfProgram)
	order.PutUint16(out[56:], 4)
	const load, stack, r, w, x = 1, 0x6474e551, 4, 2, 1
	program(out[elfHeader:], load, r|x, 0, codeBase, uint64(codeOff+len(code)), uint64(codeOff+len(code)))
	program(out[elfHeader+elfProgram:], load, r|w, uint64(dataOff), dataBase, uint64(len(im.data)), uint64(len(im.data)))
	program(out[elfHeader+2*elfProgram:], load, r|w, 0, slotBase, 0, uint64(im.plan.Slots)*8)
	program(out[elfHeader+3*elfProgram:], stack, r|w, 0, 0, 0, 0) // no executable stack
	copy(out[codeOff:], code)
	return append(out, im.data...)
}

func program(b []byte, kind, flags uint32, off, addr, filesz, memsz uint64) {
	order.PutUint32(b[0:], kind)
	order.PutUint32(b[4:], flags)
	order.PutUint64(b[8:], off)
	order.PutUint64(b[16:], addr)
	order.PutUint64(b[24:], addr)
	order.PutUint64(b[32:], filesz)
	order.PutUint64(b[40:], memsz)
	order.PutUint64(b[48:], uint64(pageSize()))
}

func elfMachine() uint16 {
	if runtime.GOARCH == "arm64" {
		return 183 // EM_AARCH64
	}
	return 62 // EM_X86_64
}
