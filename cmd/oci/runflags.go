package main

import (
	"time"

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
	created                              bool   // the program is not started: `oci create`
	idFile                               string // --cidfile
	stopTimeout                          seconds
	noPivot, noNewKeyring                bool
	publish                              []string // refused: no port is ever mapped
	storage                              string   // how the root file system is made
	ids                                  idMapFlags
	devices                              deviceFlag
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

// registerRun adds the flags of `oci run`.
func (f *runFlags) registerRun(cmd *cobra.Command) {
	f.registerImage(cmd)
	fs := cmd.Flags()
	fs.BoolVarP(&f.detach, "detach", "d", false, "run in the background and print the container's ID")
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input on")
	fs.BoolVarP(&f.c.o.Terminal, "tty", "t", false, "give the container a terminal")
}

// registerImage adds the flags of every verb that makes a container of an image. Flags end at the first argument: what follows
// belongs to the container.
func (f *runFlags) registerImage(cmd *cobra.Command) {
	f.policy = pullMissing
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	f.registerBundle(fs)
	fs.StringVar(&f.name, "name", "", "`ID` of the container (default: random; other verbs take the beginning of such a one)")
	fs.StringVar(&f.idFile, "cidfile", "", "write the container's ID to `file`, which may not be there yet")
	fs.BoolVar(&f.remove, "rm", false, "remove the container when it ends")
	fs.Var(&f.stopTimeout, "stop-timeout", "how long `oci stop` waits for the container before it kills it (default 10)")
	f.t.register(fs)
	fs.BoolVarP(&f.t.quiet, "quiet", "q", false, "show no progress of a pull")
	registerPull(cmd, &f.policy)
	f.c.register(fs)
	f.ids.register(fs)
	f.devices.register(fs)
	fs.StringVar(&f.storage, "storage", "", "how the root file system is made of the layers: `way` overlay, copy or auto (default $OCI_STORAGE, else auto)")
	fs.StringArrayVarP(&f.publish, "publish", "p", nil, "map a `port` (not possible)")
	_ = fs.MarkHidden("publish")
}

// grace is --stop-timeout; nil without.
func (f *runFlags) grace() *time.Duration {
	if f.c.flags == nil || !f.c.flags.Changed("stop-timeout") {
		return nil
	}
	d := time.Duration(f.stopTimeout)
	return &d
}
