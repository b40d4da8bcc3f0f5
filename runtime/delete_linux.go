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
		if c.state.SharedPid {
			// Without a pid namespace of its own, processes outlive the first one (containerd#11231).
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

// DeleteLeftover removes what remains of a container whose state cannot be read: a creation that was killed. It reports whether there was something.
func (r *Runtime) DeleteLeftover(id string) (bool, error) {
	if !ValidID(id) {
		return false, &Error{Op: "delete", Subject: id, Err: ErrInvalidID}
	}
	c := &Container{rt: r, dir: filepath.Join(r.root, id)}
	unlock, err := c.lock()
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, &Error{Op: "delete", Subject: id, Err: err}
	}
	defer unlock()
	if err := os.RemoveAll(c.dir); err != nil {
		return true, &Error{Op: "delete", Subject: id, Err: err}
	}
	return true, nil
}
