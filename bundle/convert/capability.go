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
	known := bundle.Capabilities()
	if last := c.host.LastCapability; last > 0 && last+1 < len(known) {
		known = known[:last+1]
	}
	caps := bundle.DefaultCapabilities()
	if c.o.Privileged {
		caps = c.available(known)
	}
	add, err := parseCapabilities("--cap-add", c.o.CapAdd, known)
	if err != nil {
		return err
	}
	drop, err := parseCapabilities("--cap-drop", c.o.CapDrop, known)
	if err != nil {
		return err
	}
	// As Docker orders them: "drop ALL, add X" leaves X; "add ALL, drop X" leaves all but X.
	switch {
	case slices.Contains(add, all):
		caps = c.available(known)
		drop = slices.DeleteFunc(drop, func(n string) bool { return n == all })
	case slices.Contains(drop, all):
		caps = nil
	}
	caps = slices.DeleteFunc(slices.Clone(caps), func(n string) bool { return slices.Contains(drop, n) })
	for _, n := range add {
		if n != all && !slices.Contains(caps, n) && !slices.Contains(drop, n) {
			caps = append(caps, n)
		}
	}
	sets := &specs.LinuxCapabilities{Bounding: caps}
	if c.spec.Process.User.UID == 0 {
		sets.Effective, sets.Permitted = slices.Clone(caps), slices.Clone(caps)
	}
	c.spec.Process.Capabilities = sets
	return nil
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
func parseCapabilities(flag string, values, known []string) ([]string, error) {
	var out []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.ToUpper(strings.TrimSpace(name))
			if name == all || name == "CAP_ALL" {
				out = append(out, all)
				continue
			}
			if !strings.HasPrefix(name, "CAP_") {
				name = "CAP_" + name
			}
			if !slices.Contains(known, name) {
				return nil, usage(flag, value, "%s is no capability of this kernel", name)
			}
			out = append(out, name)
		}
	}
	return out, nil
}
