package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/runtime/internal/launch"
)

// Start lets the container's program begin, and returns when it has, or with the reason why it could not.
func (c *Container) Start(ctx context.Context) error {
	wrap := func(err error) error {
		e := &Error{Op: "start", Subject: c.state.ID, Err: markProgram(err)}
		if errors.Is(err, ErrNotCreated) {
			e.Clause = spec.StartCreatedOnly
		}
		return e
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return wrap(err)
	}
	defer unlock()
	if s := c.Status(); s != specs.StateCreated {
		return wrap(fmt.Errorf("%w: it is %s", ErrNotCreated, s))
	}
	if c.live != nil && c.live.attached {
		err = c.startAttached(ctx)
	} else {
		err = c.startFIFO(ctx)
	}
	if err != nil {
		return wrap(err)
	}
	if h := c.state.Hooks; h != nil && len(h.Poststart) > 0 {
		if err := runHooks(ctx, "poststart", h.Poststart, c.specState(specs.StateRunning)); err != nil {
			c.rt.log.Warn("a poststart hook failed", "id", c.state.ID, "error", err)
		}
	}
	return nil
}

func (c *Container) startAttached(ctx context.Context) error {
	c.live.started = true
	if err := c.live.signalSync(); err != nil {
		return c.ended(err)
	}
	if err := c.startHooks(ctx, c.live.proc, c.live.signalSync); err != nil {
		return err
	}
	err := c.live.proc.AwaitProgram(ctx)
	c.live.close()
	return err
}

// ended explains why the process cannot be spoken with.
func (c *Container) ended(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: its process has ended", ErrNotCreated)
	}
	return err
}

// startFIFO starts a container that another process created. The FIFO goes first: a second start finds none.
func (c *Container) startFIFO(ctx context.Context) error {
	report, err := openReport(c.dir)
	if err != nil {
		return err
	}
	defer unix.Close(report) // only read
	path := filepath.Join(c.dir, startFIFO)
	start, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return c.ended(err)
	}
	defer unix.Close(start) // written or not
	if err := os.Remove(path); err != nil {
		return err
	}
	signal := func() error {
		_, err := unix.Write(start, []byte{1})
		return err
	}
	if err := signal(); err != nil {
		return c.ended(err)
	}
	p := launch.Attach(c.state.Pid, report)
	if err := c.startHooks(ctx, p, signal); err != nil {
		return err
	}
	err = p.AwaitProgram(ctx)
	os.Remove(filepath.Join(c.dir, reportFIFO)) // of no more use
	return c.nameStep(err)
}

// nameStep gives a failure the name that the creating process recorded.
func (c *Container) nameStep(err error) error {
	var f *launch.Failure
	if !errors.As(err, &f) || f.Name != "" {
		return err
	}
	for _, s := range c.state.Steps {
		if s.Step == f.Step {
			f.Name, f.Call, f.Pointer = s.Name, s.Call, s.Pointer
		}
	}
	return f
}

// startHooks runs the startContainer hooks, in the container's namespaces; the process waits for them.
func (c *Container) startHooks(ctx context.Context, p *launch.Process, signal func() error) error {
	h := c.state.Hooks
	if h == nil || len(h.StartContainer) == 0 {
		return nil
	}
	if err := p.AwaitStart(ctx); err != nil {
		return c.nameStep(err)
	}
	if err := runContainerHooks(ctx, "startContainer", h.StartContainer, c.specState(specs.StateCreated), !c.state.SharedPid); err != nil {
		unix.Kill(c.state.Pid, unix.SIGKILL) // runtime.md, Lifecycle: a failing hook stops the container
		return err
	}
	return signal()
}
