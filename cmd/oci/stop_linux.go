package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime"
)

// stopGrace is how long a container has to end by itself; Docker's.
const stopGrace = 10 * time.Second

func stopCommand(a *app) *cobra.Command {
	grace, name := stopGrace, "TERM"
	cmd := &cobra.Command{
		Use:   "stop ID...",
		Short: "Ask a container to end, and kill it when it does not",
		Args:  atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := parseSignal(name)
			if err != nil {
				return err
			}
			var errs []error
			for _, id := range args {
				errs = append(errs, a.stop(cmd.Context(), id, sig, grace))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().DurationVarP(&grace, "time", "t", grace, "`how long` it may take before it is killed: 10s, 1m")
	cmd.Flags().StringVarP(&name, "signal", "s", name, "the `signal` that asks")
	return cmd
}

func (a *app) stop(ctx context.Context, id string, sig unix.Signal, grace time.Duration) error {
	c, err := a.loadRunning(id)
	if err == nil {
		err = c.Kill(ctx, sig, false)
	}
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
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
