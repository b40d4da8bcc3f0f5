package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// initName is the file of a bundle, or of a container's directory, that is the init of --init.
const initName = "init"

// registerInit adds the flags of an init.
func (c *convertFlags) registerInit(f *pflag.FlagSet) {
	f.BoolVar(&c.o.Init, "init", false, "run an init before the program, which hands signals on to it and reaps orphans")
	f.StringVar(&c.o.InitPath, "init-path", "", "take this `file` for the init, a static program (implies --init)")
}

// initIn writes the init into a bundle, for everyone to execute, and gives its path relative to that. It replaces one that is there.
func initIn(dir string) func([]byte) (string, error) {
	return func(program []byte) (string, error) {
		file := filepath.Join(dir, initName)
		partial, err := os.CreateTemp(dir, initName)
		if err != nil {
			return "", err
		}
		_, err = partial.Write(program)
		err = errors.Join(err, partial.Chmod(0o555), partial.Close())
		if err == nil {
			err = os.Rename(partial.Name(), file)
		}
		if err != nil {
			return "", errors.Join(err, os.Remove(partial.Name()))
		}
		return initName, nil
	}
}
