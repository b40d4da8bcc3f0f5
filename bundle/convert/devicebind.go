package convert

import (
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// bindDevice turns a device that has another path on the host into a mount of it, in a user namespace: nodes cannot be made there, and
// a runtime takes the host's node at the path of the container's for it, which is another one or none.
func (c *conversion) bindDevice(flag, source, dest string) {
	if source == dest || !c.inUserns() {
		return
	}
	l := c.spec.Linux
	l.Devices = slices.DeleteFunc(l.Devices, func(d specs.LinuxDevice) bool { return d.Path == dest })
	m := specs.Mount{Destination: dest, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "nosuid", "noexec"}}
	if i := slices.IndexFunc(c.spec.Mounts, func(o specs.Mount) bool { return path.Clean(o.Destination) == path.Clean(dest) }); i >= 0 {
		c.spec.Mounts[i] = m
	} else {
		c.spec.Mounts = append(c.spec.Mounts, m)
	}
	if c.from == nil {
		c.from = map[string]string{}
	}
	c.from[path.Clean(dest)] = flag
}
