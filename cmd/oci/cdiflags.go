package main

import "github.com/spf13/pflag"

// registerCDI adds the flags of devices that the Container Device Interface describes; their names are values of --device.
func (c *convertFlags) registerCDI(f *pflag.FlagSet) {
	f.StringArrayVar(&c.o.CDISpecDirs, "cdi-spec-dir", nil, "look for CDI devices in the files of `dir` (default /etc/cdi and /var/run/cdi); of the same device the last counts")
	f.StringArrayVar(&c.o.GPUs, "gpus", nil, "add GPUs, of CDI files of nvidia.com/gpu: `which`, all, a number or device=NAME")
}
