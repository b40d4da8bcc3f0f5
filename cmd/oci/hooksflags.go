package main

import "github.com/spf13/pflag"

// registerHooks adds the flag of directories of hooks.
func (c *convertFlags) registerHooks(f *pflag.FlagSet) {
	f.StringArrayVar(&c.o.HooksDirs, "hooks-dir", nil, "add the hooks that fit of `dir`, in podman's format; of files of one name the last counts")
}
