//go:build linux

package launch

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Failure is a step of a plan that failed in the container's process.
type Failure struct {
	Step    int
	Errno   unix.Errno
	Name    string // what the step does; "" if the plan is not at hand
	Call    string // the system call
	Pointer string // the place in config.json that asked for it
}

func (f *Failure) Error() string {
	name := f.Name
	if name == "" {
		name = "step " + strconv.Itoa(f.Step)
	}
	s := name + ": " + f.Errno.Error()
	if f.Call == "move_mount" && (f.Errno == unix.EINVAL || f.Errno == unix.ENOTDIR) {
		s += "; what is mounted and the place for it must both be directories, or neither"
	}
	if f.Pointer != "" {
		s += " (config.json: " + f.Pointer + ")"
	}
	return s
}

// Unwrap returns the errno.
func (f *Failure) Unwrap() error { return f.Errno }

func (p *Process) failure(step, errno uint32) error {
	f := &Failure{Step: int(step), Errno: unix.Errno(errno)}
	if p.plan != nil && f.Step < len(p.plan.Steps) {
		s := &p.plan.Steps[f.Step]
		f.Name, f.Call, f.Pointer = s.Name, s.Call, s.Pointer
	}
	return f
}
