package convert

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// capabilities sets the bounding set, and for root the sets that follow from it at execve(2). For
// other users those stay empty, as the kernel would empty them; inheritable and ambient always do
// (CVE-2022-24769).
func (c *conversion) capabilities() error {
	ask, err := c.capabilityFlags()
	if err != nil {
		return err
	}
	caps := ask.apply(bundle.DefaultCapabilities())
	sets := &specs.LinuxCapabilities{Bounding: caps}
	if c.spec.Process.User.UID == 0 {
		sets.Effective, sets.Permitted = slices.Clone(caps), slices.Clone(caps)
	}
	c.spec.Process.Capabilities = sets
	return nil
}

// capabilityFlags are --cap-add, --cap-drop and --privileged taken apart.
type capabilityFlags struct {
	every, addAll, dropAll bool // every: --privileged
	add, drop, available   []string
}

func (c *conversion) capabilityFlags() (f capabilityFlags, err error) {
	known := bundle.Capabilities()
	if last := c.host.LastCapability; last > 0 && last+1 < len(known) {
		known = known[:last+1]
	}
	f.every, f.available = c.o.Privileged, c.available(known)
	if f.add, f.addAll, err = parseCapabilities("--cap-add", c.o.CapAdd, known); err != nil {
		return f, err
	}
	f.drop, f.dropAll, err = parseCapabilities("--cap-drop", c.o.CapDrop, known)
	return f, err
}

// apply changes a set as Docker orders it: "drop ALL, add X" leaves X; "add ALL, drop X" leaves all but X.
func (f capabilityFlags) apply(caps []string) []string {
	switch {
	case f.dropAll && !f.addAll:
		caps = nil
	case f.every, f.addAll:
		caps = f.available
	}
	caps = slices.DeleteFunc(slices.Clone(caps), func(n string) bool { return slices.Contains(f.drop, n) })
	for _, n := range f.add {
		if !slices.Contains(caps, n) && !slices.Contains(f.drop, n) {
			caps = append(caps, n)
		}
	}
	return caps
}

const all = "ALL"

// available leaves out what the caller lacks itself, and so cannot give: in a container, root has
// not all capabilities. In a new user namespace it has.
func (c *conversion) available(known []string) []string {
	if c.host.Capabilities == 0 || c.inUserns() {
		return slices.Clone(known)
	}
	var out []string
	for i, name := range known {
		if c.host.Capabilities&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// parseCapabilities takes names with or without CAP_, in any case, alone or separated by commas.
func parseCapabilities(flag string, values, known []string) (out []string, everyOne bool, err error) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToUpper(strings.TrimSpace(name))
			if name == all || name == "CAP_ALL" {
				everyOne = true
				continue
			}
			if !strings.HasPrefix(name, "CAP_") {
				name = "CAP_" + name
			}
			if !slices.Contains(known, name) {
				return nil, false, usage(flag, value, "%s is no capability of this kernel%s", name, meant(name, known))
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, everyOne, nil
}

// meant suggests the known name that has the same letters, or the only one that has these among its own; "" if there is none.
func meant(name string, known []string) string {
	letters := func(s string) string { return strings.NewReplacer("_", "", "-", "", " ", "").Replace(s) }
	asked := letters(strings.TrimPrefix(name, "CAP_"))
	var near []string
	for _, k := range known {
		switch own := letters(strings.TrimPrefix(k, "CAP_")); {
		case own == asked:
			return "; did you mean " + k + "?"
		case len(asked) > 2 && (strings.Contains(own, asked) || strings.Contains(asked, own)):
			near = append(near, k)
		}
	}
	if len(near) != 1 {
		return ""
	}
	return "; did you mean " + near[0] + "?"
}
