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
			"argument is then the container's ID. Signals are passed on.\n\n" +
			"The container of an image stays when it has ended, for `oci ps -a`, `oci logs` and `oci rm`, unless --rm\n" +
			"is given. That of a bundle is removed at its end, unless it is detached. With --bundle these flags apply:\n" +
			"--detach, --interactive, --pid-file, --console-socket, --preserve-fds, --no-pivot, --no-new-keyring;\n" +
			"the others are for images: config.json says what they say.\n\n" +
			"The status is that of the container's program, 128+n if signal n ended it; 126 if the program could not be\n" +
			"executed, 127 if there is none, 125 if the container could not be made. A mistake on the command line is 2,\n" +
			"and an image or a bundle that cannot be had or read keeps the status that says why: 3 to 10, as for\n" +
			"`oci pull` (`oci help exit-status`).",
		Example: "  oci run --rm debian echo hello\n" +
			"  oci run --rm -it -v $PWD:/src -w /src --network host python\n" +
			"  oci run -d --name web -m 512m -e MODE=test python python3 -m http.server\n" +
			"  oci bundle debian b true && oci run --bundle b demo",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			if f.bundle != "" {
				return runStatus(a.runBundle(cmd.Context(), args[0], f))
			}
			if done, err := a.asRoot(); done {
				return err
			}
			return runStatus(a.runImage(cmd.Context(), args, f))
		},
	}
	f.registerRun(cmd)
	a.registerLimits(cmd.Flags())
	return cmd
}

// runStatus gives the statuses of run to what went wrong before the program ran. What has a status
// of its own (usage, and what keepStatus marked) keeps it.
func runStatus(status int, err error) error {
	var exit *exitError
	switch {
	case err == nil && status == statusOK:
		return nil
	case err == nil:
		return &exitError{status: status}
	case errors.As(err, &exit), exitStatus(err) == statusUsage:
		return err
	}
	return &exitError{programStatus(err), err}
}

// keepStatus marks a failure to get the image, or to read the bundle: it keeps the status that the other
// verbs give it.
func keepStatus(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitStatus(err), err}
}

// programStatus tells apart, as Docker does, a program that is not there, one that cannot be
// executed, and everything else.
func programStatus(err error) int {
	switch {
	case errors.Is(err, runtime.ErrNoProgram):
		return statusNoProgram
	case errors.Is(err, runtime.ErrProgram), errors.Is(err, unix.E2BIG):
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
		return 0, keepStatus(err)
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
