package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/runtime/internal/launch"
	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// maxHookOutput is how much of a failing hook's error output an error repeats.
const maxHookOutput = 4096

// hooks runs what config.md, POSIX-platform Hooks, places between the mounts and the change of root: prestart and createRuntime here,
// createContainer in the container's namespaces.
func (c *creation) hooks(ctx context.Context) error {
	h := c.Spec.Hooks
	if h == nil {
		return nil
	}
	//lint:ignore SA1019 prestart is deprecated, and not gone
	prestart := h.Prestart
	if len(prestart)+len(h.CreateRuntime)+len(h.CreateContainer) == 0 {
		return nil
	}
	if err := c.live.proc.Await(ctx, plan.PointHooks); err != nil {
		return c.died(err)
	}
	// The nodes are made, so the rules can come; a hook may add to them.
	if err := c.deviceRules(); err != nil {
		return err
	}
	c.rulesDone = true
	state := c.specState(specs.StateCreating)
	state.Pid = c.live.proc.Pid
	for _, kind := range []struct {
		name  string
		hooks []specs.Hook
	}{{"prestart", prestart}, {"createRuntime", h.CreateRuntime}} {
		if err := runHooks(ctx, kind.name, kind.hooks, state); err != nil {
			return err
		}
	}
	if err := runContainerHooks(ctx, "createContainer", h.CreateContainer, state, !c.state.SharedPid); err != nil {
		return err
	}
	return c.live.signalSync()
}

// differingNamespaces are the CLONE_NEW* flags of the namespaces that pid does not share with this process.
func differingNamespaces(pid int) uint64 {
	var out uint64
	for _, n := range plan.Namespaces() {
		theirs, err1 := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + n.File)
		ours, err2 := os.Readlink("/proc/self/ns/" + n.File)
		if err1 == nil && err2 == nil && theirs != ours {
			out |= n.Flag
		}
	}
	return out
}

func hookError(pointer string, err error) error {
	return &Error{Op: "run hook", Subject: pointer, Clause: spec.HookFailure, Err: err}
}

// hookContext bounds a hook by its timeout, in seconds.
func hookContext(ctx context.Context, h specs.Hook) (context.Context, context.CancelFunc, error) {
	if h.Timeout == nil {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	if *h.Timeout <= 0 {
		return nil, nil, fmt.Errorf("%w: timeout %d is not above zero", ErrConfig, *h.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
	return ctx, cancel, nil
}

// runHooks runs hooks in this process's namespaces, in order, with state on their standard input.
func runHooks(ctx context.Context, kind string, hooks []specs.Hook, state specs.State) error {
	for i, h := range hooks {
		pointer := "/hooks/" + kind + "/" + strconv.Itoa(i)
		if err := runHook(ctx, h, state); err != nil {
			return hookError(pointer, err)
		}
	}
	return nil
}

func runHook(ctx context.Context, h specs.Hook, state specs.State) error {
	ctx, cancel, err := hookContext(ctx, h)
	if err != nil {
		return err
	}
	defer cancel()
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	out := &tail{}
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	cmd.Env = append([]string{}, h.Env...)
	cmd.Dir = state.Bundle // where runc runs them
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(raw), out, out
	cmd.WaitDelay = time.Second // a hook whose child holds its output must not hang us
	err = cmd.Run()
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%s: %w", h.Path, context.Cause(ctx))
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.add(err)
}

// tail keeps the first bytes that are written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := maxHookOutput - len(t.buf); n > 0 {
		t.buf = append(t.buf, p[:min(n, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) add(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || len(t.buf) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strconv.Quote(strings.TrimSpace(string(t.buf))))
}

// runContainerHooks runs hooks in the namespaces of the container whose first process is state.Pid.
func runContainerHooks(ctx context.Context, kind string, hooks []specs.Hook, state specs.State, ownPid bool) error {
	if len(hooks) == 0 {
		return nil
	}
	pid := state.Pid
	join := differingNamespaces(pid)
	if ownPid {
		state.Pid = 1 // as it is seen inside
	}
	for i, h := range hooks {
		pointer := "/hooks/" + kind + "/" + strconv.Itoa(i)
		if err := runContainerHook(ctx, h, pointer, pid, state, join); err != nil {
			return hookError(pointer, err)
		}
	}
	return nil
}

func runContainerHook(ctx context.Context, h specs.Hook, pointer string, pid int, state specs.State, join uint64) error {
	ctx, cancel, err := hookContext(ctx, h)
	if err != nil {
		return err
	}
	defer cancel()
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inR.Close(), inW.Close())
	}
	var report [2]int
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC); err != nil {
		return errors.Join(err, inR.Close(), inW.Close(), outR.Close(), outW.Close())
	}
	p, err := launch.Start(launch.Request{
		Plan:  plan.CompileHook(plan.HookInput{Hook: h, Pointer: pointer, Pid: pid, Join: join, Report: 3}),
		Files: []uintptr{inR.Fd(), outW.Fd(), outW.Fd(), uintptr(report[1])}, Report: report[0], CgroupFD: -1,
	})
	unix.Close(report[1])       // a pipe
	defer unix.Close(report[0]) // a pipe
	inR.Close()                 // a pipe
	outW.Close()                // a pipe
	if err != nil {
		return errors.Join(err, inW.Close(), outR.Close())
	}
	defer p.Close()
	go func() {
		inW.Write(raw) // a hook need not read its state
		inW.Close()    // a pipe
	}()
	out := &tail{}
	copied := make(chan struct{})
	go func() {
		io.Copy(out, outR) // it ends with the hook
		close(copied)
	}()
	err = superviseHook(ctx, p, join&unix.CLONE_NEWPID != 0)
	select {
	case <-copied:
	case <-time.After(time.Second): // a child of the hook holds its output
	}
	return errors.Join(out.add(err), outR.Close())
}

// superviseHook waits for the end of a hook, and kills it when ctx ends first.
func superviseHook(ctx context.Context, p *launch.Process, late bool) error {
	if late {
		if err := p.AwaitChild(ctx); err != nil {
			p.Wait() // the failure is told
			return err
		}
	}
	if err := p.AwaitProgram(ctx); err != nil {
		p.Wait() // the failure is told
		return err
	}
	done := make(chan error, 1)
	go func() {
		ws, err := p.Wait()
		if err == nil && (ws.Signaled() || ws.ExitStatus() != 0) {
			err = errors.New(describe(ws))
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		p.Signal(unix.SIGKILL) // it may have ended
		<-done
		return context.Cause(ctx)
	}
}
