//go:build !linux

package runtime

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Runtime is for Linux; elsewhere each method returns errors.ErrUnsupported.
type Runtime struct{}

// Container is for Linux; elsewhere there is none.
type Container struct{}

// Open returns errors.ErrUnsupported.
func Open(Options) (*Runtime, error) { return nil, errors.ErrUnsupported }

// Root returns "".
func (r *Runtime) Root() string { return "" }

// Load returns errors.ErrUnsupported.
func (r *Runtime) Load(string) (*Container, error) { return nil, errors.ErrUnsupported }

// List returns errors.ErrUnsupported.
func (r *Runtime) List(context.Context) ([]*Container, error) { return nil, errors.ErrUnsupported }

// Create returns errors.ErrUnsupported.
func (r *Runtime) Create(context.Context, CreateOptions) (*Container, error) {
	return nil, errors.ErrUnsupported
}

// Plan returns errors.ErrUnsupported.
func (r *Runtime) Plan(CreateOptions) (string, error) { return "", errors.ErrUnsupported }

// Delete returns errors.ErrUnsupported.
func (r *Runtime) Delete(context.Context, string, bool) error { return errors.ErrUnsupported }

// ID returns "".
func (c *Container) ID() string { return "" }

// Pid returns 0.
func (c *Container) Pid() int { return 0 }

// Bundle returns "".
func (c *Container) Bundle() string { return "" }

// Status returns "".
func (c *Container) Status() Status { return "" }

// State returns errors.ErrUnsupported.
func (c *Container) State(context.Context) (State, error) { return State{}, errors.ErrUnsupported }

// Start returns errors.ErrUnsupported.
func (c *Container) Start(context.Context) error { return errors.ErrUnsupported }

// Wait returns errors.ErrUnsupported.
func (c *Container) Wait(context.Context) (ExitStatus, error) {
	return ExitStatus{}, errors.ErrUnsupported
}

// Kill returns errors.ErrUnsupported.
func (c *Container) Kill(context.Context, syscall.Signal, bool) error { return errors.ErrUnsupported }

// Delete returns errors.ErrUnsupported.
func (c *Container) Delete(context.Context, bool) error { return errors.ErrUnsupported }

// Console returns nil.
func (c *Container) Console() *os.File { return nil }

// Process is for Linux; elsewhere there is none.
type Process struct{}

// Exec returns errors.ErrUnsupported.
func (c *Container) Exec(context.Context, ExecOptions) (*Process, error) {
	return nil, errors.ErrUnsupported
}

// Pid returns 0.
func (p *Process) Pid() int { return 0 }

// Console returns nil.
func (p *Process) Console() *os.File { return nil }

// Signal returns errors.ErrUnsupported.
func (p *Process) Signal(syscall.Signal) error { return errors.ErrUnsupported }

// Wait returns errors.ErrUnsupported.
func (p *Process) Wait() (ExitStatus, error) { return ExitStatus{}, errors.ErrUnsupported }
