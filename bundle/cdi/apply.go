package cdi

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle/hooks"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// Apply makes the changes in a config and gives the JSON pointers of what it set. Without rules no cgroup rules are added for the nodes: right
// where the config has none. The error, an *Error, is that of a device node of the host that is not there or is another one than the file says.
func (e Edits) Apply(s *specs.Spec, rules bool) ([]string, error) {
	a := applier{spec: s, rules: rules}
	a.env(e.all.Env)
	if len(e.all.DeviceNodes)+len(e.all.NetDevices) > 0 || e.all.IntelRdt != nil {
		a.linux()
	}
	if err := a.deviceNodes(e.all.DeviceNodes); err != nil {
		return nil, err
	}
	a.netDevices(e.all.NetDevices)
	a.mounts(e.all.Mounts)
	for _, h := range e.all.Hooks {
		if s.Hooks == nil {
			s.Hooks = &specs.Hooks{}
		}
		a.set(hooks.Add(s.Hooks, h.HookName, specs.Hook{Path: h.Path, Args: h.Args, Env: h.Env, Timeout: h.Timeout}))
	}
	if r := e.all.IntelRdt; r != nil {
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{
			ClosID: r.ClosID, L3CacheSchema: r.L3CacheSchema, MemBwSchema: r.MemBwSchema, Schemata: r.Schemata, EnableMonitoring: r.EnableMonitoring,
		}
		a.set("/linux/intelRdt")
	}
	a.groups(e.all.AdditionalGIDs)
	return a.pointers, nil
}

type applier struct {
	spec     *specs.Spec
	rules    bool
	pointers []string
}

func (a *applier) set(pointer string) { a.pointers = append(a.pointers, pointer) }

func (a *applier) process() *specs.Process {
	if a.spec.Process == nil {
		a.spec.Process = &specs.Process{Cwd: "/"}
	}
	return a.spec.Process
}

func (a *applier) linux() *specs.Linux {
	if a.spec.Linux == nil {
		a.spec.Linux = &specs.Linux{}
	}
	return a.spec.Linux
}

// env replaces variables in their places.
func (a *applier) env(env []string) {
	for _, v := range env {
		p := a.process()
		name, _, _ := strings.Cut(v, "=")
		i := slices.IndexFunc(p.Env, func(o string) bool { other, _, _ := strings.Cut(o, "="); return other == name })
		if i < 0 {
			i = len(p.Env)
			p.Env = append(p.Env, "")
		}
		p.Env[i] = v
		a.set(origin.At("/process/env", i))
	}
}

func (a *applier) deviceNodes(nodes []*cdispec.DeviceNode) error {
	if len(nodes) == 0 {
		return nil
	}
	l := a.linux()
	for _, n := range nodes {
		d, err := hostNode(*n)
		if err != nil {
			return &Error{Op: "add CDI device node", Subject: n.Path, Err: err}
		}
		a.own(&d)
		l.Devices = append(slices.DeleteFunc(l.Devices, func(o specs.LinuxDevice) bool { return o.Path == d.Path }), d)
		access := n.Permissions
		switch {
		case access == "":
			access = "rwm"
		case access == noPermissions:
			continue
		}
		if a.rules && (d.Type == "b" || d.Type == "c") {
			if l.Resources == nil {
				l.Resources = &specs.LinuxResources{}
			}
			a.set(origin.At("/linux/resources/devices", len(l.Resources.Devices)))
			l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: access})
		}
	}
	for i, d := range l.Devices {
		if slices.ContainsFunc(nodes, func(n *cdispec.DeviceNode) bool { return n.Path == d.Path }) {
			a.set(origin.At("/linux/devices", i))
		}
	}
	return nil
}

// own gives a node without an owner to the user of the process.
func (a *applier) own(d *specs.LinuxDevice) {
	if a.spec.Process == nil {
		return
	}
	user := a.spec.Process.User
	if d.UID == nil && user.UID > 0 {
		d.UID = &user.UID
	}
	if d.GID == nil && user.GID > 0 {
		d.GID = &user.GID
	}
}

func (a *applier) netDevices(devices []*cdispec.LinuxNetDevice) {
	for _, d := range devices {
		l := a.linux()
		if l.NetDevices == nil {
			l.NetDevices = map[string]specs.LinuxNetDevice{}
		}
		l.NetDevices[d.HostInterfaceName] = specs.LinuxNetDevice{Name: d.Name}
		a.set("/linux/netDevices/" + spec.EscapeToken(d.HostInterfaceName))
	}
}

// mounts replaces a mount at the same destination, and puts all in the order of their depth, as mounts that others cover are none.
func (a *applier) mounts(mounts []*cdispec.Mount) {
	if len(mounts) == 0 {
		return
	}
	s := a.spec
	at := func(dest string) func(specs.Mount) bool {
		return func(o specs.Mount) bool { return path.Clean(o.Destination) == path.Clean(dest) }
	}
	for _, m := range mounts {
		s.Mounts = append(slices.DeleteFunc(s.Mounts, at(m.ContainerPath)), specs.Mount{
			Source: m.HostPath, Destination: m.ContainerPath, Type: m.Type, Options: slices.Clone(m.Options),
		})
	}
	depth := func(m specs.Mount) int { return strings.Count(path.Clean(m.Destination), "/") }
	slices.SortStableFunc(s.Mounts, func(x, y specs.Mount) int { return depth(x) - depth(y) })
	for _, m := range mounts {
		a.set(origin.At("/mounts", slices.IndexFunc(s.Mounts, at(m.ContainerPath))))
	}
}

// groups adds supplementary groups; 0 stands for none.
func (a *applier) groups(gids []uint32) {
	for _, g := range gids {
		u := &a.process().User
		if g == 0 || slices.Contains(u.AdditionalGids, g) {
			continue
		}
		a.set(origin.At("/process/user/additionalGids", len(u.AdditionalGids)))
		u.AdditionalGids = append(u.AdditionalGids, g)
	}
}
