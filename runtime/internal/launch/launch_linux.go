package launch

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// Request is a plan with the descriptors of this process that it needs.
type Request struct {
	Plan *plan.Plan
	// Files are given to the process as descriptors 0, 1, 2, ...; the plan's FDs index them.
	// They stay open here.
	Files []uintptr
	// Report is the read end of what the plan reports to.
	Report int
	// CgroupFD is the directory of the cgroup v2 to start in, -1 for none.
	CgroupFD int
	// Scratch is a directory for a temporary file, used where memfds may not be executed.
	Scratch string
}

// Process is a process that executes a plan.
type Process struct {
	Pid    int
	PidFD  int // -1 where the kernel has none
	report int
	plan   *plan.Plan

	pending []report // read, but not yet asked for
}

// ErrGone means that the process ended, or began its program, before it reported what was waited for.
var ErrGone = errors.New("the container's process ended")

// Start executes req.Plan in a new process.
func Start(req Request) (*Process, error) {
	img, err := encode(req.Plan)
	if err != nil {
		return nil, err
	}
	f, err := seal(img, req.Scratch)
	if err != nil {
		return nil, fmt.Errorf("write the program: %w", err)
	}
	defer unix.Close(f) // read-only
	p := &Process{PidFD: -1, report: req.Report, plan: req.Plan}
	attr := &syscall.ProcAttr{
		Env:   []string{},
		Files: req.Files,
		Sys:   &syscall.SysProcAttr{Cloneflags: req.Plan.Cloneflags, PidFD: &p.PidFD},
	}
	if req.CgroupFD >= 0 {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, req.CgroupFD
	}
	p.Pid, err = syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", f), []string{"oci-init"}, attr)
	if err != nil {
		return nil, fmt.Errorf("start the container's process: %w", err)
	}
	return p, nil
}

// seal puts the program where nothing can change it any more.
func seal(img []byte, scratch string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("oci-init", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before 6.3
		fd, err = unix.MemfdCreate("oci-init", flags)
	}
	if err != nil {
		return sealFile(img, scratch, err)
	}
	if err := writeAll(fd, img); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// sealFile is for machines that forbid executable memfds (vm.memfd_noexec=2): an unnamed file,
// reopened for reading.
func sealFile(img []byte, scratch string, cause error) (int, error) {
	if scratch == "" {
		return -1, cause
	}
	w, err := unix.Open(scratch, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return -1, errors.Join(cause, err)
	}
	defer unix.Close(w) // its content is read back by the kernel
	if err := writeAll(w, img); err != nil {
		return -1, err
	}
	return unix.Open(fmt.Sprintf("/proc/self/fd/%d", w), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Await reads records until the process reports point. Its error is a *Failure if a step failed, or ErrGone.
func (p *Process) Await(ctx context.Context, point plan.Point) error {
	r, err := p.next(ctx)
	switch {
	case err != nil:
		return err
	case r.kind == plan.RecordFailure:
		return p.failure(r.a, r.b)
	case r.kind == plan.RecordPoint && plan.Point(r.a) == point:
		return nil
	}
	return fmt.Errorf("unexpected report %v", r)
}

// AwaitChild waits for the report of a plan with LateFork that names the container's first process, and
// follows it. What that child reports may come before; it is kept for later.
func (p *Process) AwaitChild(ctx context.Context) error {
	var early []report
	for {
		r, err := p.next(ctx)
		if err != nil {
			p.pending = early
			if len(early) > 0 { // the process that began failed, and has no child
				return p.Await(ctx, 0)
			}
			return err
		}
		if r.kind == plan.RecordPid {
			p.pending = early
			return p.follow(int(r.b))
		}
		early = append(early, r)
	}
}

// AwaitProgram waits until execve has succeeded or failed.
func (p *Process) AwaitProgram(ctx context.Context) error {
	r, err := p.next(ctx)
	switch {
	case errors.Is(err, ErrGone):
		return nil
	case err != nil:
		return err
	case r.kind == plan.RecordFailure:
		return p.failure(r.a, r.b)
	}
	return fmt.Errorf("unexpected report %v", r)
}

// AwaitStart waits until the process has been let go and waits for the startContainer hooks.
func (p *Process) AwaitStart(ctx context.Context) error { return p.Await(ctx, plan.PointStart) }

// Attach returns a Process for one that an earlier process started. Its failures have no step name.
func Attach(pid, report int) *Process {
	return &Process{Pid: pid, PidFD: -1, report: report}
}

// report is a record.
type report struct{ kind, a, b uint32 }

// next returns the next record; ErrGone at the end of file.
func (p *Process) next(ctx context.Context) (report, error) {
	if len(p.pending) > 0 {
		r := p.pending[0]
		p.pending = p.pending[1:]
		return r, nil
	}
	var buf [plan.RecordSize]byte
	for n := 0; n < len(buf); {
		if ctx.Done() != nil { // else the read may wait as well
			if err := WaitIn(ctx, p.report); err != nil {
				return report{}, err
			}
		}
		m, err := unix.Read(p.report, buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return report{}, fmt.Errorf("read the report: %w", err)
		case m == 0:
			return report{}, ErrGone
		}
		n += m
	}
	return report{order.Uint32(buf[:]), order.Uint32(buf[4:]), order.Uint32(buf[8:])}, nil
}

// WaitIn waits until fd can be read, is at its end, or ctx has ended.
func WaitIn(ctx context.Context, fd int) error {
	var wake [2]int
	if err := unix.Pipe2(wake[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(wake[0])
	stop := context.AfterFunc(ctx, func() { unix.Close(wake[1]) }) // its end of file wakes the poll
	defer func() {
		if stop() {
			unix.Close(wake[1])
		}
	}()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake[0]), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case fds[0].Revents != 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// follow takes over from the process that began to the child that goes on.
func (p *Process) follow(pid int) error {
	if p.PidFD >= 0 {
		unix.Close(p.PidFD) // only a handle
	}
	if _, err := wait4(p.Pid); err != nil {
		return fmt.Errorf("reap the process that began: %w", err)
	}
	p.Pid = pid
	// The child is ours (CLONE_PARENT) and not yet reaped, so its id is not reused.
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		fd = -1
	}
	p.PidFD = fd
	return nil
}

func wait4(pid int) (unix.WaitStatus, error) {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return ws, err
		}
	}
}

// Wait waits for the end of a process that this process started, and reaps it.
func (p *Process) Wait() (unix.WaitStatus, error) { return wait4(p.Pid) }

// Signal sends sig to the process.
func (p *Process) Signal(sig unix.Signal) error {
	if p.PidFD >= 0 {
		return unix.PidfdSendSignal(p.PidFD, sig, nil, 0)
	}
	return unix.Kill(p.Pid, sig) // not yet reaped, so the id is not reused
}

// Kill ends the process and reaps it: what a failed start leaves.
func (p *Process) Kill() {
	p.Signal(unix.SIGKILL) // it may have ended
	p.Wait()               // nothing is left to do
}

// Close lets go of the handle.
func (p *Process) Close() {
	if p.PidFD >= 0 {
		unix.Close(p.PidFD) // only a handle
		p.PidFD = -1
	}
}
