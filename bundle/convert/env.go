package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// env keeps the variables of the image as they are, in their order; then come those of the user,
// and last the defaults for names that nobody has set.
func (c *conversion) env() error {
	for _, e := range c.img.Config.Env {
		if strings.ContainsRune(e, 0) {
			return imageError("config.Env", spec.ConversionVerbatim, fmt.Errorf("%w: NUL in %q", ErrInvalid, e))
		}
	}
	env, err := c.userEnv(slices.Clone(c.img.Config.Env))
	if err != nil {
		return err
	}
	c.spec.Process.Terminal = c.o.Terminal
	c.spec.Process.Env = c.defaultEnv(env)
	return nil
}

// userEnv sets in env what --env-file and --env say.
func (c *conversion) userEnv(env []string) ([]string, error) {
	for _, line := range c.o.EnvFile {
		line = strings.TrimSuffix(strings.TrimLeft(line, " \t"), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, _, _ := strings.Cut(line, "="); strings.ContainsAny(name, " \t") {
			return nil, usage("--env-file", line, "white space in the name of a variable")
		}
		var err error
		if env, err = c.setEnv("--env-file", env, line); err != nil {
			return nil, err
		}
	}
	for _, e := range c.o.Env {
		var err error
		if env, err = c.setEnv("--env", env, e); err != nil {
			return nil, err
		}
	}
	return env, nil
}

func (c *conversion) defaultEnv(env []string) []string {
	add := func(name, value string) {
		if value != "" && !slices.ContainsFunc(env, named(name)) {
			env = append(env, name+"="+value)
		}
	}
	add("PATH", bundle.DefaultPath)
	add("HOSTNAME", c.o.Hostname)
	if c.o.Terminal {
		add("TERM", "xterm")
	}
	if c.rootfs != nil { // else a runtime finds it
		add("HOME", c.home())
	}
	return env
}

// setEnv sets a variable, in the place of one of that name if there is one. A name without a value
// takes the value of the caller's own environment, and is removed when there is none.
func (c *conversion) setEnv(flag string, env []string, e string) ([]string, error) {
	name, _, hasValue := strings.Cut(e, "=")
	if name == "" || strings.ContainsRune(e, 0) {
		return nil, usage(flag, e, "want NAME=value or NAME")
	}
	if !hasValue {
		var value string
		if c.o.LookupEnv != nil {
			value, hasValue = c.o.LookupEnv(name)
		}
		e = name + "=" + value
	}
	i := slices.IndexFunc(env, named(name))
	switch {
	case i >= 0 && hasValue:
		env[i] = e
		return append(env[:i+1], slices.DeleteFunc(env[i+1:], named(name))...), nil
	case i >= 0:
		return slices.DeleteFunc(env, named(name)), nil
	case hasValue:
		return append(env, e), nil
	}
	return env, nil
}

func named(name string) func(string) bool {
	return func(e string) bool {
		n, _, _ := strings.Cut(e, "=")
		return n == name
	}
}
