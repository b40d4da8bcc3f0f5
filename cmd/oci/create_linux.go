package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
)

func createCommand(a *app) *cobra.Command {
	f := &runFlags{created: true}
	cmd := &cobra.Command{
		Use:   "create [flags] IMAGE [CMD...]",
		Short: "Make a container of an image, or of a bundle; its program waits for `oci start`",
		Long: "Make a container of an image as `oci run -d` does, with the same flags, and print its ID: all is there, mounted and\n" +
			"limited, but the program waits for `oci start`. Or with --bundle DIR make one of a bundle; the one argument is then the\n" +
			"container's ID, and the flags that apply are --pid-file, --console-socket, --preserve-fds, --no-pivot and\n" +
			"--no-new-keyring. In the bundle's own directory that is `oci create --bundle . ID`.",
		Example: "  oci create --name web -m 512m debian sleep 100 && oci start web\n" +
			"  oci create --bundle b demo && oci start demo",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			if f.bundle != "" {
				return runStatus(0, a.create(cmd.Context(), args[0], f))
			}
			if done, err := a.asRoot(); done {
				return err
			}
			return runStatus(a.runImage(cmd.Context(), args, f))
		},
	}
	f.registerImage(cmd)
	a.registerLimits(cmd.Flags())
	return cmd
}

// create makes the container of a bundle.
func (a *app) create(ctx context.Context, id string, f *runFlags) error {
	b, err := bundle.Load(f.bundle)
	if err != nil {
		return keepStatus(err)
	}
	if b.Spec.Process != nil && b.Spec.Process.Terminal && f.consoleSocket == "" {
		return usageErrorf(nil, "cannot allocate tty if oci will detach without setting console socket")
	}
	rt, err := a.openRuntime()
	if err != nil {
		return err
	}
	o := f.create(id)
	o.Bundle, o.Spec = b.Dir, b.Spec
	_, err = rt.Create(ctx, o)
	return err
}
