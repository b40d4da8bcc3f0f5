package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/runtime/internal/cgroup"
	"github.com/oci-pipeline/oci/runtime/internal/launch"
)

// Wait waits until the container's first process has ended. Its exit status is known to the process that created the container,
// and to no other: those get ErrNotChild when it has ended.
func (c *Container) Wait(ctx context.Context) (ExitStatus, error) {
	if c.live == nil || c.live.proc == nil || c.live.proc.Pid == 0 {
		if err := c.waitEnd(ctx); err != nil {
			return ExitStatus{}, &Error{Op: "wait", Subject: c.state.ID, Err: err}
		}
		return ExitStatus{}, &Error{Op: "wait", Subject: c.state.ID, Err: ErrNotChild}
	}
	if ctx.Done() != nil {
		if err := c.waitEnd(ctx); err != nil {
			return ExitStatus{}, &Error{Op: "wait", Subject: c.state.ID, Err: err}
		}
	}
	ws, err := c.live.proc.Wait()
	if err != nil {
		return ExitStatus{}, &Error{Op: "wait", Subject: c.state.ID, Err: err}
	}
	c.live.proc.Pid = 0
	return exitStatus(ws), nil
}

// waitEnd waits on a pidfd until the process has ended or ctx has.
func (c *Container) waitEnd(ctx context.Context) error {
	if c.state.Pid <= 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(c.state.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(fd) // only a handle
	if c.live == nil && !c.state.alive() {
		return nil // the id belongs to another process now
	}
	return launch.WaitIn(ctx, fd)
}

// Kill sends sig to the container's first process; all sends it to every process of the container's cgroup, which is
// what stops a container that shares its pid namespace.
func (c *Container) Kill(_ context.Context, sig unix.Signal, all bool) error {
	wrap := func(err error) error {
		e := &Error{Op: "kill", Subject: c.state.ID, Err: err}
		if errors.Is(err, ErrNotRunning) {
			e.Clause = spec.KillRunningOnly
		}
		return e
	}
	if all {
		if m := c.manager(); m != nil {
			return killAll(m, sig, wrap)
		}
	}
	if c.state.Pid <= 0 { // its creation is not complete, or was killed
		return wrap(ErrNotRunning)
	}
	fd, err := unix.PidfdOpen(c.state.Pid, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	if c.Status() == specs.StateStopped {
		return wrap(ErrNotRunning)
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	} else if errors.Is(err, unix.ENOSYS) {
		err = unix.Kill(c.state.Pid, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		err = ErrNotRunning
	}
	if err != nil {
		return wrap(err)
	}
	return nil
}

func killAll(m cgroup.Manager, sig unix.Signal, wrap func(error) error) error {
	if sig == unix.SIGKILL {
		if err := m.Kill(); err != nil {
			return wrap(err)
		}
		return nil
	}
	pids, err := m.Pids()
	if err != nil {
		return wrap(err)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return wrap(err)
		}
	}
	return nil
}

// killTimeout is how long SIGKILL may take: a process in an uninterruptible sleep does not end.
const killTimeout = 10 * time.Second

// frozenTimeout is how long to wait before looking whether the container is frozen: nearly all end within a millisecond.
const frozenTimeout = 100 * time.Millisecond

// deleteTimeout bounds a deletion as a whole, together with the waiting for another operation.
const deleteTimeout = 30 * time.Second

// Delete removes what is left of a stopped container: its cgroup and its state. A created one is killed first, as engines expect; a running one
// only with force.
func (c *Container) Delete(ctx context.Context, force bool) error {
	wrap := func(err error) error {
		e := &Error{Op: "delete", Subject: c.state.ID, Err: err}
		if errors.Is(err, ErrRunning) {
			e.Clause = spec.DeleteStoppedOnly
		}
		return e
	}
	if force {
		// Before the lock: an operation that waits for this process would hold it for as long.
		if err := c.Kill(ctx, unix.SIGKILL, false); err != nil && !errors.Is(err, ErrNotRunning) {
			return wrap(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deleteTimeout, errors.New("it takes too long"))
	defer cancel()
	unlock, err := c.lock(ctx)
	if err != nil {
		return wrap(err)
	}
	defer unlock()
	if rec, err := readRecord(c.dir); err == nil && c.state.Pid == 0 {
		c.state = rec // it was being created when it was loaded
	}
	status := c.Status()
	if c.state.Pid == 0 { // the lock is ours, so nobody is creating it any more
		status = specs.StateStopped
	}
	if status == specs.StateRunning && !force {
		return wrap(fmt.Errorf("%w: it is %s", ErrRunning, status))
	}
	if status != specs.StateStopped {
		if err := c.end(ctx); err != nil {
			return wrap(err)
		}
	}
	return c.remove(ctx, wrap)
}

// end kills the container's first process and waits until it is gone.
func (c *Container) end(ctx context.Context) error {
	if err := c.Kill(ctx, unix.SIGKILL, false); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, killTimeout, errors.New("its process does not end"))
	defer cancel()
	wait := func(ctx context.Context) error {
		if c.live != nil && c.live.proc != nil && c.live.proc.Pid > 0 {
			_, err := c.Wait(ctx)
			return err
		}
		return c.waitEnd(ctx)
	}
	soon, cancelSoon := context.WithTimeout(ctx, frozenTimeout)
	defer cancelSoon()
	err := wait(soon)
	if err == nil || soon.Err() == nil {
		return err
	}
	if m := c.manager(); m != nil { // on cgroup v1 a frozen process does not die of SIGKILL
		if frozen, ferr := m.Frozen(); ferr == nil && frozen {
			if terr := m.Thaw(); terr != nil {
				return errors.Join(err, terr)
			}
		}
	}
	return wait(ctx)
}
