//go:build linux

package plan

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Pseudo system calls, numbered above all real ones. The interpreter of package launch knows them.
const (
	NrJumpEqual    = 0x10000 + iota // args: value, mask, want, step: if value&mask == want go to step
	NrSet                           // args: address, value: store value
	NrFail                          // args: errno: fail as if a call had returned it
	NrJumpNotEqual                  // args: value, mask, want, step: if value&mask != want go to step
)

// AnyErrno in a Rule matches every errno that no earlier rule matches.
const AnyErrno = ^uint32(0)

// MaxRules is the number of errno rules that one step can hold.
const MaxRules = 4

// Slot names a 64-bit cell of the plan's memory, zero at first. Slot 0 is no slot. A run of slots is
// a buffer.
type Slot uint32

// ArgKind says how an argument's 64 bits are made.
type ArgKind uint8

// The kinds of argument.
const (
	Immediate ArgKind = iota // Value itself
	Load                     // the content of Slot at the time of the call
	AddressOf                // the address of Slot
	Text                     // the address of String, NUL-terminated
	Memory                   // the address of Bytes (8-byte aligned), with Relocs applied
	Target                   // the index of the step labelled String (branches only)
)

// Reloc puts the 64-bit value of Arg at Offset of a Memory argument.
type Reloc struct {
	Offset int
	Arg    Arg
}

// Arg is one argument of a step. Show is its text in a printed plan.
type Arg struct {
	Kind   ArgKind
	Value  uint64
	Slot   Slot
	String string
	Bytes  []byte
	Relocs []Reloc
	Show   string
}

// Rule says where to go on when the call of a step returns Errno.
type Rule struct {
	Errno uint32
	Goto  string // label
}

// Step is one system call of a plan.
type Step struct {
	Label   string // set where another step goes to this one
	Name    string // what it does, in the words of an error message: "mount /proc"
	Pointer string // JSON pointer into config.json, "" for what no property asked for
	Why     string
	Nr      uint32
	Call    string // the name of the call
	Args    []Arg
	Store   Slot   // where the result goes, 0 for nowhere
	Rules   []Rule // at most MaxRules
	OK      string // label to go to on success, "" for the next step
	NotZero bool   // a result of 0 is a failure too: the other end of a pipe is gone
}

// Plan is a compiled container: steps, and what the process that executes them must be given.
type Plan struct {
	Steps []Step
	Slots int // number of slots, slot 0 included

	// Cloneflags are the namespaces that the process is created in.
	Cloneflags uintptr
	// LateFork means that the process that starts the plan is not the one that ends it: it
	// reports the id of a child made with CLONE_PARENT and exits.
	LateFork bool
	// MapIDs means that the process waits, before anything else, for its id maps to be written.
	MapIDs bool
	// Late is the index of the first step after the start.
	Late int
	// FDs is the layout of descriptors that the steps assume.
	FDs FDs
	// SlotNames are for printing.
	SlotNames []string
	// Warnings tell what the configuration asks for and the plan leaves out.
	Warnings []string
}

// FDs numbers the descriptors that the process is given. Stdio is always 0, 1 and 2, and
// preserved descriptors follow. -1 means that there is none.
type FDs struct {
	Preserve int // number of descriptors from 3 on that the program keeps
	Report   int // write end: records
	Sync     int // read end: one byte for each Point
	Start    int // read end of the start signal; equals Sync when one process creates and starts
	Console  int // unix socket for the master of the terminal
	Root     int // detached mount of the root file system
	Extra    []string
}

// Point is a place where the process stops until one byte is written to it.
type Point uint32

// The points, in the order in which a plan can have them.
const (
	PointMapped Point = iota + 1 // waits until the id maps are written
	PointHooks                   // reports; waits until the hooks before pivot_root have run
	PointReady                   // reports; waits until its state is recorded, then for the start
	PointStart                   // reports; waits until the startContainer hooks have run
)

// Record is what the process writes to Report: 16 bytes, little-endian as the machine is.
const RecordSize = 16

// The kinds of record.
const (
	RecordFailure = 1 // a = step, b = errno
	RecordPoint   = 2 // a = Point
	RecordPid     = 3 // b = process id of the container's first process
)

// imm and its relatives build arguments.
func imm(v uint64, show string) Arg { return Arg{Value: v, Show: show} }

func num(v int) Arg { return Arg{Value: uint64(int64(v)), Show: strconv.Itoa(v)} }

func fdArg(fd int, show string) Arg { return Arg{Value: uint64(int64(fd)), Show: show} }

func slot(s Slot) Arg { return Arg{Kind: Load, Slot: s} }

func addr(s Slot) Arg { return Arg{Kind: AddressOf, Slot: s} }

func text(s string) Arg { return Arg{Kind: Text, String: s, Show: strconv.Quote(s)} }

func mem(b []byte, show string, relocs ...Reloc) Arg {
	return Arg{Kind: Memory, Bytes: b, Relocs: relocs, Show: show}
}

func target(label string) Arg { return Arg{Kind: Target, String: label, Show: label} }

var null = Arg{Show: "NULL"}

func cwdFD() Arg { return fdArg(unix.AT_FDCWD, "AT_FDCWD") }
