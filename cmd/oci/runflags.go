package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runFlags are the flags of `oci run` and `oci create`, beside those of convertFlags.
type runFlags struct {
	t                                    transferFlags
	c                                    convertFlags
	policy                               string
	bundle, name, pidFile, consoleSocket string
	preserveFDs                          int
	detach, remove, interactive          bool
	noPivot, noNewKeyring                bool
	publish                              []string // refused: no port is ever mapped
}

// registerBundle adds the flags of every verb that makes a container of a bundle.
func (f *runFlags) registerBundle(fs *pflag.FlagSet) {
	fs.StringVarP(&f.bundle, "bundle", "b", f.bundle, "`dir` of a bundle; the argument is then the container's ID")
	fs.StringVar(&f.pidFile, "pid-file", "", "write the process ID to `file`")
	fs.StringVar(&f.consoleSocket, "console-socket", "", "send the terminal to the unix `socket`")
	fs.IntVar(&f.preserveFDs, "preserve-fds", 0, "hand on this `number` of descriptors from 3 on")
	fs.BoolVar(&f.noPivot, "no-pivot", false, "use chroot instead of pivot_root (for a root on a ramdisk)")
	fs.BoolVar(&f.noNewKeyring, "no-new-keyring", false, "keep the session keyring of the caller")
}

// registerRun adds the flags of `oci run`. Flags end at the first argument: what follows belongs
// to the container.
func (f *runFlags) registerRun(cmd *cobra.Command) {
	f.policy = pullMissing
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	f.registerBundle(fs)
	fs.StringVar(&f.name, "name", "", "`ID` of the container (default: random)")
	fs.BoolVarP(&f.detach, "detach", "d", false, "run in the background and print the container's ID")
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input on")
	fs.BoolVarP(&f.c.o.Terminal, "tty", "t", false, "give the container a terminal")
	fs.BoolVar(&f.remove, "rm", false, "remove the container when it ends")
	f.t.register(fs)
	fs.BoolVarP(&f.t.quiet, "quiet", "q", false, "show no progress of a pull")
	registerPull(cmd, &f.policy)
	f.c.register(fs)
	fs.StringArrayVarP(&f.publish, "publish", "p", nil, "map a `port` (not possible)")
	_ = fs.MarkHidden("publish")
}

// bundleFlags are the flags of `oci run` that have a meaning with --bundle, beside the global ones. All
// others say how an image becomes a container; of a bundle its config.json says that.
const bundleFlags = " bundle pid-file console-socket preserve-fds no-pivot no-new-keyring detach interactive rm help "

// check refuses flags that would do nothing.
func (f *runFlags) check(cmd *cobra.Command, args []string) error {
	if len(f.publish) > 0 {
		return usageErrorf(cmd, "--publish: ports are not mapped; --network host gives the container the network of the host")
	}
	if f.bundle == "" {
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
	case f.detach && f.remove:
		return usageErrorf(cmd, "--bundle with -d and --rm: nobody would be there to remove it; `oci delete` does")
	}
	return nil
}
