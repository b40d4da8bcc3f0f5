package seccomp

import (
	goruntime "runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

//go:generate go run gen/main.go

// Arch names an architecture as config.json does: "SCMP_ARCH_X86_64".
type Arch = specs.Arch

const (
	absent     = 0xffff   // callNumber: the architecture has no such call
	armPrivate = 0xf000   // callNumber: arm's private calls, stored as armPrivate+n
	armBase    = 0x0f0000 // __ARM_NR_BASE
	x32Bit     = 1 << 30  // __X32_SYSCALL_BIT
)

// archInfo is what the compiler knows of an architecture.
type archInfo struct {
	name  Arch
	audit uint32 // AUDIT_ARCH_* of linux/audit.h: seccomp_data.arch
	row   int    // in callNumber; -1: known to the specification, without a table
	is32  bool   // registers have 32 bits
	big   bool   // big-endian
	mux   bool   // has socketcall and ipc
}

// architectures are all names of config-linux.md#seccomp. Those without a table can be listed in a
// profile, and their calls are then treated as those of an architecture that is not listed.
var architectures = [...]archInfo{
	{name: specs.ArchX86_64, audit: 0xc000003e, row: 0},
	{name: specs.ArchX32, audit: 0xc000003e, row: 1},
	{name: specs.ArchX86, audit: 0x40000003, row: 2, is32: true, mux: true},
	{name: specs.ArchAARCH64, audit: 0xc00000b7, row: 3},
	{name: specs.ArchARM, audit: 0x40000028, row: 4, is32: true},
	{name: specs.ArchRISCV64, audit: 0xc00000f3, row: 5},
	{name: specs.ArchS390X, audit: 0x80000016, row: 6, big: true, mux: true},
	{name: specs.ArchPPC64LE, audit: 0xc0000015, row: 7, mux: true},
	{name: specs.ArchLOONGARCH64, audit: 0xc0000102, row: 8},
	{name: specs.ArchMIPS, row: -1},
	{name: specs.ArchMIPS64, row: -1},
	{name: specs.ArchMIPS64N32, row: -1},
	{name: specs.ArchMIPSEL, row: -1},
	{name: specs.ArchMIPSEL64, row: -1},
	{name: specs.ArchMIPSEL64N32, row: -1},
	{name: specs.ArchPPC, row: -1},
	{name: specs.ArchPPC64, row: -1},
	{name: specs.ArchS390, row: -1},
	{name: specs.ArchPARISC, row: -1},
	{name: specs.ArchPARISC64, row: -1},
	{name: specs.ArchM68K, row: -1},
	{name: specs.ArchSH, row: -1},
	{name: specs.ArchSHEB, row: -1},
}

// Native is the architecture of this process, "" where it has no seccomp support here.
func Native() Arch {
	switch goruntime.GOARCH {
	case "amd64":
		return specs.ArchX86_64
	case "386":
		return specs.ArchX86
	case "arm64":
		return specs.ArchAARCH64
	case "arm":
		return specs.ArchARM
	case "riscv64":
		return specs.ArchRISCV64
	case "s390x":
		return specs.ArchS390X
	case "ppc64le":
		return specs.ArchPPC64LE
	case "loong64":
		return specs.ArchLOONGARCH64
	}
	return ""
}

func lookupArch(name Arch) (archInfo, bool) {
	for _, a := range architectures {
		if a.name == name {
			return a, true
		}
	}
	return archInfo{}, false
}

// runsOn says whether a kernel for native can execute programs of a.
func (a archInfo) runsOn(native Arch) bool {
	switch a.name {
	case native:
		return true
	case specs.ArchX86, specs.ArchX32:
		return native == specs.ArchX86_64
	case specs.ArchARM:
		return native == specs.ArchAARCH64
	}
	return false
}

// number gives the number of the call with the index given by findCall, without the x32 bit.
func (a archInfo) number(call int) (uint32, bool) {
	n := callNumber[a.row][call]
	switch {
	case n == absent:
		return 0, false
	case n >= armPrivate:
		return armBase | uint32(n-armPrivate), true
	}
	return uint32(n), true
}

func callName(i int) string { return callText[callStart[i]:callStart[i+1]] }

// findCall gives the index of a name in the table, or -1. Profiles are mostly sorted, so the
// search starts at hint, the index after the last one found.
func findCall(name string, hint int) int {
	if hint < callCount && callName(hint) == name {
		return hint
	}
	lo, hi := 0, callCount
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if callName(mid) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < callCount && callName(lo) == name {
		return lo
	}
	return -1
}

// muxed says through which multiplexer, and with which first argument, a call can also be made
// on an architecture that has them (linux/net.h SYS_*, linux/ipc.h); "" if through none.
func muxed(name string) (through string, value uint64) {
	if n := socketCall(name); n != 0 {
		return "socketcall", n
	}
	if n := ipcCall(name); n != 0 {
		return "ipc", n
	}
	return "", 0
}

func socketCall(name string) uint64 {
	switch name {
	case "socket":
		return 1
	case "bind":
		return 2
	case "connect":
		return 3
	case "listen":
		return 4
	case "accept":
		return 5
	case "getsockname":
		return 6
	case "getpeername":
		return 7
	case "socketpair":
		return 8
	case "send":
		return 9
	case "recv":
		return 10
	case "sendto":
		return 11
	case "recvfrom":
		return 12
	case "shutdown":
		return 13
	case "setsockopt":
		return 14
	case "getsockopt":
		return 15
	case "sendmsg":
		return 16
	case "recvmsg":
		return 17
	case "accept4":
		return 18
	case "recvmmsg":
		return 19
	case "sendmmsg":
		return 20
	}
	return 0
}

func ipcCall(name string) uint64 {
	switch name {
	case "semop":
		return 1
	case "semget":
		return 2
	case "semctl":
		return 3
	case "semtimedop":
		return 4
	case "msgsnd":
		return 11
	case "msgrcv":
		return 12
	case "msgget":
		return 13
	case "msgctl":
		return 14
	case "shmat":
		return 21
	case "shmdt":
		return 22
	case "shmget":
		return 23
	case "shmctl":
		return 24
	}
	return 0
}
