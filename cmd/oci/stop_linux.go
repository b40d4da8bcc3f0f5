package main

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime"
)

// defaultGrace is how long a container has to end by itself; Docker's.
const defaultGrace = 10 * time.Second

func stopCommand(a *app) *cobra.Command {
	grace, name := seconds(defaultGrace), ""
	cmd := &cobra.Command{
		Use:   "stop ID...",
		Short: "Ask a container to end, and kill it when it does not",
		Long: "Send a container the signal that it was made with (--stop-signal of `oci run`, else the image's StopSignal,\n" +
			"else TERM), and kill it when it has not ended in time: that of --time, else of its --stop-timeout, else 10 seconds.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name != "" {
				if _, err := parseSignal(name); err != nil {
					return err
				}
			}
			var errs []error
			for _, arg := range args {
				id, err := a.fullID(arg)
				if err == nil {
					err = a.stop(cmd.Context(), id, name, a.stopGrace(cmd, id, grace))
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().VarP(&grace, "time", "t", "`how long` it may take before it is killed: 5 for seconds, 1m30s; -1 for ever")
	cmd.Flags().StringVarP(&name, "signal", "s", name, "the `signal` that asks, instead of the container's own")
	return cmd
}

// stopGrace is how long the container id has to end: as the flag says, else as the container was made.
func (a *app) stopGrace(cmd *cobra.Command, id string, flag seconds) time.Duration {
	var r record
	if dir, made := a.madeFromImage(id); made && !cmd.Flags().Changed("time") && dir.load(recordFile, &r) == nil && r.StopTimeout != nil {
		return *r.StopTimeout
	}
	return time.Duration(flag)
}

// stopSignal is the signal that asks the container id to end.
func (a *app) stopSignal(id, name string) (unix.Signal, error) {
	var r record
	if dir, made := a.madeFromImage(id); made && name == "" {
		if err := dir.load(recordFile, &r); err != nil && !errors.Is(err, runtime.ErrNotExist) {
			return 0, err
		}
		name = r.StopSignal
	}
	if name == "" {
		return unix.SIGTERM, nil
	}
	return parseSignal(name)
}

// stop asks with the signal name, "" for the container's own, and waits for grace, without end if it is
// below zero.
func (a *app) stop(ctx context.Context, id, name string, grace time.Duration) error {
	c, err := a.loadRunning(id)
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	var sig unix.Signal
	if err == nil {
		sig, err = a.stopSignal(id, name)
	}
	if err == nil {
		err = c.Kill(ctx, sig, false)
	}
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	if grace < 0 {
		grace = math.MaxInt64
	}
	patient, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if _, err := c.Wait(patient); err == nil || errors.Is(err, runtime.ErrNotChild) {
		return nil
	} else if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err := c.Kill(ctx, unix.SIGKILL, false); err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		return err
	}
	if _, err := c.Wait(ctx); !errors.Is(err, runtime.ErrNotChild) {
		return err
	}
	return nil
}
