package seccomp

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// SECCOMP_RET_* of linux/seccomp.h.
const (
	retKillThread  = 0x00000000
	retTrap        = 0x00030000
	retErrno       = 0x00050000
	retNotify      = 0x7fc00000
	retTrace       = 0x7ff00000
	retLog         = 0x7ffc0000
	retAllow       = 0x7fff0000
	retKillProcess = 0x80000000
)

const (
	eperm    = 1
	enosys   = 38   // on every architecture with a table here
	maxErrno = 4095 // MAX_ERRNO: what a system call can return
	maxTrace = 0xffff
)

// action gives the return value for an action and its errno; index is that of the entry, -1 for the default.
func action(a specs.LinuxSeccompAction, errno *uint, index int, field, errnoField string) (uint32, error) {
	var base, limit uint32
	switch a {
	case specs.ActKill, specs.ActKillThread:
		base = retKillThread
	case specs.ActKillProcess:
		base = retKillProcess
	case specs.ActTrap:
		base = retTrap
	case specs.ActErrno:
		base, limit = retErrno, maxErrno
	case specs.ActTrace:
		base, limit = retTrace, maxTrace
	case specs.ActAllow:
		base = retAllow
	case specs.ActLog:
		base = retLog
	case specs.ActNotify:
		base = retNotify
	default:
		return 0, &Error{Op: opCompile, Subject: at(index) + field, Clause: spec.RuntimeSeccompAction, Err: ErrAction}
	}
	switch {
	case limit == 0 && errno != nil:
		return 0, &Error{Op: opCompile, Subject: at(index) + errnoField, Clause: spec.RuntimeSeccompErrno, Err: ErrErrno}
	case limit == 0:
		return base, nil
	case errno == nil:
		return base | eperm, nil
	case *errno > uint(limit):
		return 0, &Error{Op: opCompile, Subject: at(index) + errnoField, Err: ErrErrnoRange}
	}
	return base | uint32(*errno), nil
}

// permissive says whether a default action lets a call through, so that a newer kernel's calls
// need no ENOSYS. A tracer is expected to handle calls that it does not know.
func permissive(ret uint32) bool {
	switch ret & 0xffff0000 {
	case retAllow, retLog, retTrace:
		return true
	}
	return false
}

// condition is one comparison of one argument.
type condition struct {
	arg        uint32
	op         specs.LinuxSeccompOperator
	value, two uint64
}

func conditions(args []specs.LinuxSeccompArg, index int) ([]condition, error) {
	if len(args) == 0 {
		return nil, nil
	}
	conds := make([]condition, len(args))
	for i, a := range args {
		if a.Index > 5 {
			return nil, &Error{Op: opCompile, Subject: at(index) + "/args/" + strconv.Itoa(i) + "/index", Err: ErrArgument}
		}
		switch a.Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
			specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		default:
			where := at(index) + "/args/" + strconv.Itoa(i) + "/op"
			return nil, &Error{Op: opCompile, Subject: where, Clause: spec.RuntimeSeccompOperator, Err: ErrOperator}
		}
		conds[i] = condition{arg: uint32(a.Index), op: a.Op, value: a.Value, two: a.ValueTwo}
	}
	return conds, nil
}

// repeated says whether two conditions look at the same argument.
func repeated(conds []condition) bool {
	var seen uint32
	for _, c := range conds {
		if seen&(1<<c.arg) != 0 {
			return true
		}
		seen |= 1 << c.arg
	}
	return false
}

func flags(list []specs.LinuxSeccompFlag, notify bool) (uint32, error) {
	var f uint32
	if list == nil {
		// runc's default: a container without this flag runs its whole life with speculative store
		// bypass off on kernels before 5.16.
		f = flagSpecAllow
	}
	for i, name := range list {
		switch name {
		case "SECCOMP_FILTER_FLAG_TSYNC":
		case specs.LinuxSeccompFlagLog:
			f |= flagLog
		case specs.LinuxSeccompFlagSpecAllow:
			f |= flagSpecAllow
		case specs.LinuxSeccompFlagWaitKillableRecv:
			if notify { // without a listener the kernel answers EINVAL
				f |= flagWaitKillableRecv
			}
		default:
			return 0, &Error{Op: opCompile, Subject: "/flags/" + strconv.Itoa(i), Clause: spec.RuntimeSeccompFlags, Err: ErrFlag}
		}
	}
	if notify {
		f |= flagNewListener
	}
	return f, nil
}
