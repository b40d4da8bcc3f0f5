package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// bundleFlags are the flags of `oci run` and `oci create` that have a meaning with --bundle, beside the global ones. All
// others say how an image becomes a container; of a bundle its config.json says that.
const bundleFlags = " bundle pid-file console-socket preserve-fds no-pivot no-new-keyring detach interactive rm help "

// check refuses flags that would do nothing.
func (f *runFlags) check(cmd *cobra.Command, args []string) error {
	if len(f.publish) > 0 {
		return usageErrorf(cmd, "--publish: ports are not mapped; --network host gives the container the network of the host")
	}
	if s := f.c.o.StopSignal; s != "" {
		if _, err := parseSignal(s); err != nil {
			return usageErrorf(cmd, "--stop-signal: %w", err)
		}
	}
	if f.bundle == "" {
		if err := f.checkStorage(); err != nil {
			return err
		}
		if f.detach && f.c.o.Terminal {
			return usageErrorf(cmd, "-d and -t: a container in the background has no terminal; leave one of the two out")
		}
		return nil
	}
	var idle []string
	cmd.Flags().Visit(func(g *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(g.Name) == nil && !strings.Contains(bundleFlags, " "+g.Name+" ") {
			idle = append(idle, "--"+g.Name)
		}
	})
	slices.Sort(idle)
	switch {
	case len(idle) > 0:
		return usageErrorf(cmd, "with --bundle there is no %s: config.json says how the container is made", strings.Join(idle, ", "))
	case len(args) != 1:
		return usageErrorf(cmd, "--bundle takes one argument, the container's ID")
	case (f.detach || f.created) && f.remove:
		return usageErrorf(cmd, "--bundle with --rm: nobody would be there to remove it; `oci delete` does")
	}
	return nil
}
