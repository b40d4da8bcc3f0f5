package runtime

import (
	"context"
	"errors"
	"os/user"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Status asks the kernel what the container is doing.
func (c *Container) Status() Status {
	if c.state.Pid == 0 && c.live == nil && c.locked() {
		return specs.StateCreating
	}
	if !c.state.alive() {
		return specs.StateStopped
	}
	if c.live != nil && c.live.attached {
		if c.live.started {
			return specs.StateRunning
		}
		return specs.StateCreated
	}
	if err := unix.Access(filepath.Join(c.dir, startFIFO), unix.F_OK); err == nil {
		return specs.StateCreated
	}
	return specs.StateRunning
}

// State is the container's state (runtime.md, State, and what runc adds to it).
func (c *Container) State(context.Context) (State, error) {
	if _, err := readRecord(c.dir); err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = ErrNotExist
		}
		return State{}, &Error{Op: "state", Subject: c.state.ID, Err: err}
	}
	s := State{State: c.specState(c.Status()), Rootfs: c.state.Rootfs, Created: c.state.Created, Owner: strconv.Itoa(c.state.UID)}
	if u, err := user.LookupId(s.Owner); err == nil {
		s.Owner = u.Username
	}
	return s, nil
}

func (c *Container) specState(status Status) specs.State {
	s := specs.State{
		Version: specs.Version, ID: c.state.ID, Status: status, Pid: c.state.Pid, Bundle: c.state.Bundle, Annotations: c.state.Annotations,
	}
	if status == specs.StateStopped {
		s.Pid = 0
	}
	return s
}
