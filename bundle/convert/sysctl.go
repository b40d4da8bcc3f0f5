package convert

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// sysctls sets kernel parameters of the container's namespaces. A parameter of the host is refused.
// Docker's two defaults let programs without root serve ports below 1024 and send pings.
func (c *conversion) sysctls() error {
	all := make(map[string]string)
	if c.newNetwork() && c.host.UnprivilegedPorts {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		if !c.inUserns() {
			all["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	if err := c.userSysctls(all); err != nil {
		return err
	}
	if len(all) > 0 {
		c.spec.Linux.Sysctl = all
	}
	return nil
}

// userSysctls sets in all what --sysctl says.
func (c *conversion) userSysctls(all map[string]string) error {
	for _, value := range c.o.Sysctls {
		name, v, ok := strings.Cut(value, "=")
		name = strings.ReplaceAll(name, "/", ".")
		if !ok || name == "" || v == "" || strings.ContainsRune(value, 0) || strings.Contains(name, "..") {
			return usage("--sysctl", value, "want NAME=value")
		}
		kind := sysctlNamespace(name)
		if kind == "" {
			return usage("--sysctl", value, "%s belongs to the host, not to a namespace", name)
		}
		if !c.has(kind) {
			return usage("--sysctl", value, "not possible with the %s namespace of the host", kind)
		}
		all[name] = v
	}
	return nil
}

// newNetwork reports whether the container gets a network namespace that nobody else has set up.
func (c *conversion) newNetwork() bool {
	return slices.ContainsFunc(c.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.NetworkNamespace && n.Path == ""
	})
}

// sysctlNamespace is the namespace that a kernel parameter belongs to; "" if it is the host's. The
// names of host and domain have flags of their own.
func sysctlNamespace(name string) specs.LinuxNamespaceType {
	ipc := []string{
		"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
		"kernel.shm_rmid_forced",
	}
	switch {
	case strings.HasPrefix(name, "net."):
		return specs.NetworkNamespace
	case slices.Contains(ipc, name), strings.HasPrefix(name, "fs.mqueue."):
		return specs.IPCNamespace
	}
	return ""
}
