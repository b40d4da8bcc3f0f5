package runtime

import (
	"context"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/launch"
	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// Process is a further process of a container, started by Exec.
type Process struct {
	id      string
	pid     int
	proc    *launch.Process
	console *os.File
}

// Pid is its process id, as this process sees it.
func (p *Process) Pid() int { return p.pid }

// Console is the master of its terminal; nil without one. The caller closes it.
func (p *Process) Console() *os.File { return p.console }

// Signal sends sig to it.
func (p *Process) Signal(sig unix.Signal) error { return p.proc.Signal(sig) }

// Wait waits for its end and reaps it.
func (p *Process) Wait() (ExitStatus, error) {
	ws, err := p.proc.Wait()
	if err != nil {
		return ExitStatus{}, &Error{Op: "wait", Subject: p.id, Err: err}
	}
	p.proc.Close()
	return exitStatus(ws), nil
}

func exitStatus(ws unix.WaitStatus) ExitStatus {
	if ws.Signaled() {
		return ExitStatus{Exited: -1, Signal: int(ws.Signal())}
	}
	return ExitStatus{Exited: ws.ExitStatus()}
}

// Exec starts a further process in a running container: in its namespaces and its cgroup, confined as o says.
func (c *Container) Exec(ctx context.Context, o ExecOptions) (*Process, error) {
	p, err := c.exec(ctx, o)
	if err != nil {
		return nil, &Error{Op: "exec", Subject: c.state.ID, Err: markProgram(err)}
	}
	return p, nil
}

func (c *Container) exec(ctx context.Context, o ExecOptions) (*Process, error) {
	if o.Process == nil {
		return nil, fmt.Errorf("%w: no process", ErrConfig)
	}
	if o.Process.Terminal && o.ConsoleSocket == "" && o.Detach {
		return nil, fmt.Errorf("%w: a terminal needs a console socket when nobody stays to hold it", ErrConfig)
	}
	pidfd, err := unix.PidfdOpen(c.state.Pid, 0)
	if err != nil {
		return nil, ErrNotRunning
	}
	defer unix.Close(pidfd) // only a handle
	if s := c.Status(); s == specs.StateStopped {
		return nil, ErrNotRunning
	}
	e := &creation{
		CreateOptions: CreateOptions{
			ID: c.state.ID, Stdio: o.Stdio, OwnStdio: o.OwnStdio, Attached: true, ConsoleSocket: o.ConsoleSocket, PidFile: o.PidFile,
			PreserveFDs: o.PreserveFDs, Spec: &specs.Spec{Process: o.Process},
		},
		Container: c,
		live:      &live{attached: true, sync: -1, report: -1, manager: c.manager()},
		console:   [2]int{-1, -1},
	}
	err = e.startExec(ctx, o, pidfd)
	e.closeGiven()
	e.live.close()
	if err != nil {
		e.abandon()
		return nil, err
	}
	return &Process{id: c.state.ID, pid: e.live.proc.Pid, proc: e.live.proc, console: e.live.console}, nil
}

// startExec compiles and starts the process, and waits until its program has begun.
func (e *creation) startExec(ctx context.Context, o ExecOptions, pidfd int) error {
	e.host = hostFacts(e.Spec)
	if err := e.descriptors(ctx); err != nil {
		return err
	}
	if err := e.compileSeccomp(o.Seccomp); err != nil {
		return err
	}
	e.fds.Root = len(e.files)
	e.files = append(e.files, uintptr(pidfd))
	in := plan.ExecInput{
		Process: o.Process, Host: e.host, FDs: e.fds, Join: differingNamespaces(e.state.Pid),
		Seccomp: e.filter, SeccompFlags: e.filterFlags,
	}
	if e.OwnStdio && !o.Process.Terminal {
		in.OwnStdio = e.pipes()
	}
	var err error
	if e.live.plan, err = plan.CompileExec(in); err != nil {
		return err
	}
	if err := e.enter(launch.Request{Plan: e.live.plan, Files: e.files, Report: e.live.report, CgroupFD: -1}); err != nil {
		return err
	}
	e.closeGiven()
	if e.live.plan.LateFork {
		if err := e.live.proc.AwaitChild(ctx); err != nil {
			return err
		}
	}
	if err := e.live.proc.Await(ctx, plan.PointReady); err != nil {
		return e.died(err)
	}
	if o.Process.Terminal {
		if err := e.takeConsole(); err != nil {
			return err
		}
	}
	if err := e.writePidFile(); err != nil {
		return err
	}
	if _, err := unix.Write(e.live.sync, []byte{1, 1}); err != nil {
		return err
	}
	return e.live.proc.AwaitProgram(ctx)
}
