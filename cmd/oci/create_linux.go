package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
)

func createCommand(a *app) *cobra.Command {
	f := &runFlags{bundle: "."}
	cmd := &cobra.Command{
		Use:   "create [--bundle DIR] ID",
		Short: "Make the container of a bundle; its program waits for `oci start`",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStatus(0, a.create(cmd.Context(), args[0], f))
		},
	}
	f.registerBundle(cmd.Flags())
	return cmd
}

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
