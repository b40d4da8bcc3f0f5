package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// remove takes away the cgroup with whatever still runs in it, then the state, then runs the poststop hooks.
func (c *Container) remove(ctx context.Context, wrap func(error) error) error {
	if m := c.manager(); m != nil {
		if c.state.SharedPid || c.state.Pid == 0 {
			// Without a pid namespace of its own, processes outlive the first one (containerd#11231). And a process whose creator
			// was killed may not have noticed yet.
			if err := m.Kill(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return wrap(fmt.Errorf("end the processes of its cgroup: %w", err))
			}
		}
		if err := m.Delete(ctx); err != nil {
			return wrap(fmt.Errorf("remove its cgroup: %w", err))
		}
	}
	if err := removeDirectory(c.dir); err != nil {
		return wrap(err)
	}
	if c.live != nil {
		c.live.close()
		if c.live.proc != nil {
			c.live.proc.Close()
		}
	}
	if h := c.state.Hooks; h != nil && len(h.Poststop) > 0 {
		if err := runHooks(ctx, "poststop", h.Poststop, c.specState(specs.StateStopped)); err != nil {
			c.rt.log.Warn("a poststop hook failed", "id", c.state.ID, "error", err)
		}
	}
	return nil
}

// removeDirectory removes a state directory: the known files first, which is all there is in most cases.
func removeDirectory(dir string) error {
	for _, f := range []string{startFIFO, reportFIFO, stateFile} {
		if err := unix.Unlink(filepath.Join(dir, f)); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "remove", Path: filepath.Join(dir, f), Err: err}
		}
	}
	if err := unix.Rmdir(dir); err != nil {
		return os.RemoveAll(dir)
	}
	return nil
}

// Delete removes the container id, as Container.Delete does. Where its state cannot be read, because its creation was
// killed or the file is damaged, what remains of it is removed. ErrNotExist if there is nothing.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	c, err := r.Load(id)
	if err == nil {
		return c.Delete(ctx, force)
	}
	if errors.Is(err, ErrInvalidID) {
		return err
	}
	wrap := func(err error) error { return &Error{Op: "delete", Subject: id, Err: err} }
	left := &Container{rt: r, dir: filepath.Join(r.root, id)}
	lockCtx, cancel := context.WithTimeoutCause(ctx, deleteTimeout, errors.New("it takes too long"))
	defer cancel()
	unlock, err := left.lock(lockCtx)
	if err != nil {
		return wrap(err)
	}
	// The lock may have been that of its creation, which is complete now.
	if c, err := r.Load(id); err == nil {
		unlock()
		return c.Delete(ctx, force)
	}
	defer unlock()
	r.log.Warn("the state of a container cannot be read; a cgroup of its may remain", "id", id)
	if err := os.RemoveAll(left.dir); err != nil {
		return wrap(err)
	}
	return nil
}
