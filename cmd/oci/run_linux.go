package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/runtime"
)

func runCommand(a *app) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [CMD...]",
		Short: "Run an image, or a bundle, in a container",
		Long: "Run a container of an image, which is pulled when it is missing, or with --bundle DIR of a bundle; the one\n" +
			"argument is then the container's ID. The status is that of the container's program, 128+n if signal n\n" +
			"ended it, 125 if there was no container, 126 if the program could not be executed, 127 if there is none.\n" +
			"Signals are passed on.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.bundle != "" {
				if len(args) != 1 {
					return usageErrorf(cmd, "--bundle takes one argument, the container's ID")
				}
				return runStatus(a.runBundle(cmd.Context(), args[0], f))
			}
			if done, err := a.asRoot(); done {
				return err
			}
			return runStatus(a.runImage(cmd.Context(), args, f))
		},
	}
	f.registerRun(cmd)
	return cmd
}

// runStatus gives the statuses of run to what went wrong before the program ran. What has a status
// of its own (usage, an image that cannot be had) keeps it.
func runStatus(status int, err error) error {
	var exit *exitError
	var failed *runtime.Error
	switch {
	case err == nil && status == statusOK:
		return nil
	case err == nil:
		return &exitError{status: status}
	case errors.As(err, &exit), errors.Is(err, runtime.ErrInvalidID):
		return err
	case !errors.As(err, &failed) && !errors.Is(err, runtime.ErrExist):
		return err
	}
	return &exitError{programStatus(err), err}
}

// programStatus tells apart, as Docker does, a program that is not there, one that cannot be
// executed, and everything else.
func programStatus(err error) int {
	switch {
	case errors.Is(err, runtime.ErrNoProgram):
		return statusNoProgram
	case errors.Is(err, runtime.ErrProgram):
		return statusNotExecutable
	}
	return statusRunFailed
}

// create gives the runtime's options of the flags.
func (f *runFlags) create(id string) runtime.CreateOptions {
	return runtime.CreateOptions{
		ID: id, OwnStdio: true, ConsoleSocket: f.consoleSocket, PidFile: f.pidFile,
		PreserveFDs: f.preserveFDs, NoPivot: f.noPivot, NoNewKeyring: f.noNewKeyring,
	}
}

// runBundle runs a bundle as `runc run` does.
func (a *app) runBundle(ctx context.Context, id string, f *runFlags) (int, error) {
	b, err := bundle.Load(f.bundle)
	if err != nil {
		return 0, err
	}
	terminal := b.Spec.Process != nil && b.Spec.Process.Terminal
	switch {
	case f.detach && terminal && f.consoleSocket == "":
		return 0, usageErrorf(nil, "cannot allocate tty if oci will detach without setting console socket")
	case !(f.detach && terminal) && f.consoleSocket != "":
		return 0, usageErrorf(nil, "cannot use console socket if oci will not detach or allocate tty")
	}
	rt, err := a.openRuntime()
	if err != nil {
		return 0, err
	}
	o := f.create(id)
	o.Bundle, o.Spec, o.Attached = b.Dir, b.Spec, !f.detach
	c, err := rt.Create(ctx, o)
	if err != nil {
		return 0, err
	}
	if f.detach {
		if err := c.Start(ctx); err != nil {
			return 0, errors.Join(err, c.Delete(ctx, true))
		}
		return 0, nil
	}
	status, err := a.foreground(ctx, c, true, nil)
	return status, errors.Join(err, c.Delete(ctx, true))
}

// foreground starts a container that this process created, passes terminal and signals on, and
// waits for its end. started, unless nil, is called once the program runs.
func (a *app) foreground(ctx context.Context, c *runtime.Container, interactive bool, started func()) (int, error) {
	wait := func() {}
	if master := c.Console(); master != nil {
		defer master.Close()
		var err error
		if wait, err = attachConsole(master, os.Stdin, os.Stdout, interactive); err != nil {
			return 0, err
		}
	}
	stop := forwardSignals(func(s unix.Signal) { _ = c.Kill(ctx, s, false) })
	defer stop()
	if err := c.Start(ctx); err != nil {
		return 0, err
	}
	if started != nil {
		started()
	}
	status, err := c.Wait(ctx)
	if err == nil {
		wait()
	}
	return status.Code(), err
}
