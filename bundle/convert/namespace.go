package convert

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// namespaces gives the container new namespaces of all kinds but user and time, less those it is
// to share with the host, or with a namespace file.
func (c *conversion) namespaces() error {
	cgroupns := c.o.Cgroupns
	if cgroupns == "" && !c.host.CgroupNamespaces {
		cgroupns = "host"
	}
	userns := c.o.Userns
	switch {
	case userns == "" && len(c.o.UIDMappings) > 0:
		userns = "private"
	case userns == "":
		userns = "host"
	}
	var all []specs.LinuxNamespace
	for _, n := range c.namespaceFlags(cgroupns, userns) {
		ns, own, err := c.namespace(n)
		if err != nil {
			return err
		}
		if own {
			all = append(all, ns)
		}
	}
	c.spec.Linux.Namespaces = all
	if err := c.mappings(); err != nil {
		return err
	}
	return c.names()
}

// namespaceFlag is a flag that says which namespace of a kind the container has.
type namespaceFlag struct {
	flag, value string
	kind        specs.LinuxNamespaceType
	also        string // other words for a new namespace
}

func (c *conversion) namespaceFlags(cgroupns, userns string) []namespaceFlag {
	return []namespaceFlag{
		{"--pid", c.o.PID, specs.PIDNamespace, ""},
		{"--ipc", c.o.IPC, specs.IPCNamespace, "shareable none"},
		{"--uts", c.o.UTS, specs.UTSNamespace, ""},
		{"", "", specs.MountNamespace, ""},
		{"--network", c.o.Network, specs.NetworkNamespace, "none"},
		{"--cgroupns", cgroupns, specs.CgroupNamespace, ""},
		{"--userns", userns, specs.UserNamespace, ""},
	}
}

// namespace gives the one that is asked for; own is false for the one that the runtime is in.
func (c *conversion) namespace(n namespaceFlag) (ns specs.LinuxNamespace, own bool, err error) {
	ns.Type = n.kind
	path, isPath := strings.CutPrefix(n.value, "ns:")
	container, isContainer := strings.CutPrefix(n.value, "container:")
	switch {
	case n.value == "host":
		return ns, false, nil
	case isPath && strings.HasPrefix(path, "/"):
		ns.Path = path
	case isContainer && container != "":
		ns.Path, err = c.namespaceOf(n, container)
		return ns, true, err
	case n.value == "" || n.value == "private":
	case isPath || isContainer || !slices.Contains(strings.Fields(n.also), n.value):
		return ns, false, usage(n.flag, n.value, "want %s", strings.Join(append(strings.Fields("private host container:ID ns:/PATH"), strings.Fields(n.also)...), ", "))
	}
	return ns, true, nil
}

func (c *conversion) namespaceOf(n namespaceFlag, container string) (string, error) {
	if c.o.NamespaceOf == nil {
		return "", usage(n.flag, n.value, "containers are not known here: want ns:/PATH")
	}
	path, err := c.o.NamespaceOf(container, n.kind)
	if err != nil {
		return "", &UsageError{Flag: n.flag, Value: n.value, Err: err}
	}
	return path, nil
}

// mappings sets the ids of a new user namespace. A joined one has its own.
func (c *conversion) mappings() error {
	for _, n := range c.spec.Linux.Namespaces {
		if n.Type != specs.UserNamespace || n.Path != "" {
			continue
		}
		if len(c.o.UIDMappings) == 0 || len(c.o.GIDMappings) == 0 {
			return usage("--userns", c.o.Userns, "a new user namespace needs uid and gid mappings")
		}
		c.spec.Linux.UIDMappings = c.o.UIDMappings
		c.spec.Linux.GIDMappings = c.o.GIDMappings
		return nil
	}
	return nil
}

// names sets host and domain name, which belong to a UTS namespace of the container's own.
func (c *conversion) names() error {
	if !c.has(specs.UTSNamespace) {
		for _, f := range []struct{ flag, value string }{{"--hostname", c.o.Hostname}, {"--domainname", c.o.Domainname}} {
			if f.value != "" {
				return usage(f.flag, f.value, "not possible with the UTS namespace of the host")
			}
		}
	}
	if strings.HasPrefix(c.o.UTS, "container:") && c.o.Hostname+c.o.Domainname != "" {
		return usage("--uts", c.o.UTS, "the container has its names already: --hostname and --domainname would change them")
	}
	// __NEW_UTS_LEN of Linux.
	const longest = 64
	for _, f := range []struct{ flag, value string }{{"--hostname", c.o.Hostname}, {"--domainname", c.o.Domainname}} {
		if len(f.value) > longest || strings.ContainsAny(f.value, "\x00/ \t\n") {
			return usage(f.flag, f.value, "not a name of at most %d characters", longest)
		}
	}
	c.spec.Hostname, c.spec.Domainname = c.o.Hostname, c.o.Domainname
	return nil
}
