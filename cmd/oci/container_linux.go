package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/runtime"
)

// openRuntime opens the state directory.
func (a *app) openRuntime() (*runtime.Runtime, error) {
	root, err := a.stateRoot()
	if err != nil {
		return nil, err
	}
	return runtime.Open(runtime.Options{Root: root, Logger: a.log, CopyTree: copyTree})
}

// load opens the container id.
func (a *app) load(id string) (*runtime.Container, error) {
	rt, err := a.openRuntime()
	if err != nil {
		return nil, err
	}
	return rt.Load(id)
}

// loadRunning is load with ErrNotRunning for a container of an image that has ended: of that the runtime
// knows nothing any more.
func (a *app) loadRunning(id string) (*runtime.Container, error) {
	c, err := a.load(id)
	if _, made := a.madeFromImage(id); made && errors.Is(err, runtime.ErrNotExist) {
		err = &runtime.Error{Op: "load", Subject: id, Err: runtime.ErrNotRunning}
	}
	return c, err
}

// containersRoot is the directory of the containers that were made from images.
func (a *app) containersRoot() (string, error) {
	root, err := a.storeRoot()
	return filepath.Join(root, "containers"), err
}

// madeFromImage gives the directory of a container that was made from an image; ok is false for
// one that was not.
func (a *app) madeFromImage(id string) (dir containerDir, ok bool) {
	root, err := a.containersRoot()
	if err != nil || checkContainerID(id) != nil {
		return containerDir{}, false
	}
	dir = containerDir{filepath.Join(root, id)}
	info, err := os.Lstat(dir.path)
	return dir, err == nil && info.IsDir()
}

func startCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "start ID",
		Short: "Start the program of a created container",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := a.fullID(args[0])
			if err != nil {
				return err
			}
			c, err := a.load(id)
			if _, made := a.madeFromImage(id); made && errors.Is(err, runtime.ErrNotExist) {
				return fmt.Errorf("start %s: it has ended and cannot be started again; `oci run` makes a new container", id)
			}
			if err != nil {
				return err
			}
			return c.Start(cmd.Context())
		},
	}
}

func stateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "state ID",
		Short: "Print the state of a container, as JSON",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := a.fullID(args[0])
			if err != nil {
				return err
			}
			c, err := a.load(id)
			if err != nil {
				return err
			}
			s, err := c.State(cmd.Context())
			if err != nil {
				return err
			}
			return writeJSON(a.out, s)
		},
	}
}

func killCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "kill ID [SIGNAL]",
		Short: "Send a signal (default TERM) to a container",
		Args:  between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig := unix.SIGTERM
			if len(args) == 2 {
				var err error
				if sig, err = parseSignal(args[1]); err != nil {
					return err
				}
			}
			id, err := a.fullID(args[0])
			if err != nil {
				return err
			}
			c, err := a.loadRunning(id)
			if err != nil {
				return err
			}
			return c.Kill(cmd.Context(), sig, all)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "to every process in the container's cgroup")
	return cmd
}

// maxSignal is the last real-time signal (signal(7)).
const maxSignal = 64

// firstRealtime is the first real-time signal that the C library leaves to programs (signal(7)), and the
// one that images with systemd count from: SIGRTMIN+3.
const firstRealtime = 34

// parseSignal reads a signal as runc does: a number, NAME or SIGNAME, in any case; and as Docker does
// RTMIN+n and RTMAX-n.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > maxSignal {
			return 0, usageErrorf(nil, "signal %d is not between 1 and %d", n, maxSignal)
		}
		return unix.Signal(n), nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	offset, base := strings.TrimPrefix(name, "SIGRTMIN"), firstRealtime
	if offset == name {
		offset, base = strings.TrimPrefix(name, "SIGRTMAX"), maxSignal
	}
	n, err := strconv.Atoi("0" + strings.TrimLeft(offset, "+-"))
	if base == maxSignal {
		n = -n
	}
	if offset != name && err == nil && base+n >= firstRealtime && base+n <= maxSignal {
		return unix.Signal(base + n), nil
	}
	return 0, usageErrorf(nil, "unknown signal %q", s)
}

func rmCommand(a *app) *cobra.Command {
	var force, volumes bool
	cmd := &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove a container that is not running",
		Args:  atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs []error
			for _, arg := range args {
				id, err := a.fullID(arg)
				if err == nil {
					err = a.removeContainer(cmd.Context(), id, force, volumes)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill it if it runs; a container that does not exist is no error")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the volumes without a name that were made for it")
	return cmd
}

// deleteContainer takes away a container: what the runtime has of it, then its files. A user who is not
// root does the first from outside (only there may they signal its processes) and the second as
// root of a user namespace (only there do they own its files).
func (a *app) deleteContainer(ctx context.Context, id string, force bool) error {
	return a.removeContainer(ctx, id, force, false)
}

// removeContainer is deleteContainer, with the volumes that were made for it alone if wanted.
func (a *app) removeContainer(ctx context.Context, id string, force, volumes bool) error {
	dir, fromImage := a.madeFromImage(id)
	if !rootless() {
		err := a.removeState(ctx, id, force)
		if errors.Is(err, runtime.ErrNotExist) && (force || fromImage) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if !fromImage {
		return nil
	}
	if done, err := a.asRoot(); done {
		return err
	}
	var rec record
	_ = dir.load(recordFile, &rec) // without a record there are no volumes
	return a.discardContainer(dir, rec.Volumes, volumes || rec.Remove)
}

func (a *app) removeState(ctx context.Context, id string, force bool) error {
	rt, err := a.openRuntime()
	if err != nil {
		return err
	}
	return rt.Delete(ctx, id, force)
}

func planCommand(a *app) *cobra.Command {
	dir, id := ".", "container"
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print what would be done to the kernel to make a bundle's container",
		Long: "Compile the bundle's config.json to the list of system calls that makes the container, and print it: each\n" +
			"call with its arguments, what happens on which error, the place in config.json that asked for it, and why.",
		Args: exact(0),
		RunE: func(*cobra.Command, []string) error {
			b, err := bundle.Load(dir)
			if err != nil {
				return err
			}
			rt, err := a.openRuntime()
			if err != nil {
				return err
			}
			text, err := rt.Plan(runtime.CreateOptions{ID: id, Bundle: b.Dir, Spec: b.Spec})
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, text)
			return err
		},
	}
	cmd.Flags().StringVarP(&dir, "bundle", "b", dir, "`dir` of the bundle")
	cmd.Flags().StringVar(&id, "id", id, "the container's `ID`, which its cgroup is named by")
	return cmd
}
