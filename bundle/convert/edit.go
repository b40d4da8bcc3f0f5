package convert

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// Edit changes a config, whoever wrote it, as the options say, and nothing that they do not speak of: no default is
// added. An option has the effect that it has in Spec; of what both have, the option's replaces what is there (a
// variable, a mount at the same place, a limit). What the image config is for Spec, the config itself is here: arguments replace
// process.args, --cap-drop takes from the sets that are there.
//
// ImageLabels, Rootless, SpecMounts, VolumeDir for volumes of an image, and NumericGroups have no meaning here. The errors are
// those of Spec; a requirement of runtime-spec that s broke before is none. s is changed also if an error is returned.
func Edit(s *specs.Spec, rootfs Rootfs, o Options) error {
	c := newConversion(ispec.Image{}, rootfs, o)
	c.spec, c.found = s, hookLists(s)
	if l := s.Linux; l != nil && o.Userns == "" && len(c.uids)+len(c.gids) == 0 {
		c.uids, c.gids = l.UIDMappings, l.GIDMappings // the ids that it has
	}
	before, already := bundle.MinVersion(s), bundle.Validate(s).Must()
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
		defer func() {
			if reflect.DeepEqual(s.Linux, &specs.Linux{}) {
				s.Linux = nil // a config of another platform, or without anything of Linux
			}
		}()
	}
	for _, edit := range []func(*conversion) error{
		(*conversion).editProcess, (*conversion).editUser, (*conversion).editEnv, (*conversion).editAnnotations, (*conversion).editNamespaces,
		(*conversion).editCapabilities, (*conversion).editMounts, (*conversion).editDevices, (*conversion).editResources, (*conversion).editLimits, (*conversion).editSecurity,
		(*conversion).cdi, (*conversion).editHooks, (*conversion).newHooks, (*conversion).addInit,
	} {
		if err := edit(c); err != nil {
			return err
		}
	}
	if least := bundle.MinVersion(s); least != before && s.Version < least { // an option needs it; of one major number and one digit each
		s.Version = least
	}
	if problems := newProblems(already, bundle.Validate(s).Must()); len(problems) > 0 {
		return &Error{Op: "edit", Subject: bundle.ConfigName, Err: fmt.Errorf("%w: %w", ErrInvalid, problems)}
	}
	return c.finish()
}

// newProblems are those that were not there before, wherever in their lists. What somebody else did wrong is not for an edit to refuse:
// it may be the one of several that mend it.
func newProblems(before, after bundle.Problems) (problems bundle.Problems) {
	known := make(map[string]int)
	key := func(p *bundle.Problem) string { return p.Clause.String() + " " + p.Err.Error() }
	for _, p := range before {
		known[key(p)]++
	}
	for _, p := range after {
		if known[key(p)]--; known[key(p)] < 0 {
			problems = append(problems, p)
		}
	}
	return problems
}

// process is what is there, or a new one that lacks only a program.
func (c *conversion) process() *specs.Process {
	if c.spec.Process == nil {
		c.spec.Process = &specs.Process{Cwd: "/"}
	}
	return c.spec.Process
}

func (c *conversion) editProcess() error {
	o := c.o
	if o.ReadOnly || o.Root != "" {
		if c.spec.Root == nil {
			c.spec.Root = &specs.Root{Path: "rootfs"}
		}
		c.spec.Root.Readonly = c.spec.Root.Readonly || o.ReadOnly
		c.spec.Root.Path = cmp.Or(o.Root, c.spec.Root.Path)
	}
	if o.Entrypoint != nil || len(o.Args) > 0 {
		c.img.Config.Cmd = c.process().Args
		if err := c.args(); err != nil {
			return err
		}
	}
	if o.Workdir != "" {
		c.process()
		if err := c.cwd(); err != nil {
			return err
		}
	}
	if o.Terminal {
		c.process().Terminal = true
	}
	return nil
}

// editUser keeps the umask, which no option sets.
func (c *conversion) editUser() error {
	if c.o.User != "" {
		umask := c.process().User.Umask
		if err := c.user(); err != nil {
			return err
		}
		c.spec.Process.User.Umask = umask
		return nil
	}
	if len(c.o.GroupAdd) == 0 {
		return nil
	}
	if err := c.readUsers(); err != nil {
		return &UsageError{Flag: "--group-add", Value: c.o.GroupAdd[0], Err: err}
	}
	return c.addGroups(&c.process().User)
}

func (c *conversion) editEnv() (err error) {
	if len(c.o.Env)+len(c.o.EnvFile) > 0 {
		c.process().Env, err = c.userEnv(c.process().Env)
	}
	return err
}

func (c *conversion) editAnnotations() error {
	user, err := c.userAnnotations()
	if err != nil {
		return err
	}
	if c.o.StopSignal != "" {
		user["org.opencontainers.image.stopSignal"] = c.o.StopSignal
	}
	if c.spec.Annotations == nil && len(user) > 0 {
		c.spec.Annotations = make(map[string]string)
	}
	maps.Copy(c.spec.Annotations, user)
	return nil
}

// editNamespaces changes the kinds that are asked for, in their places.
func (c *conversion) editNamespaces() error {
	userns := c.o.Userns
	if userns == "" && len(c.o.UIDMappings) > 0 {
		userns = "private"
	}
	l := c.spec.Linux
	for _, n := range c.namespaceFlags(c.o.Cgroupns, userns) {
		if n.value == "" {
			continue
		}
		ns, own, err := c.namespace(n)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(l.Namespaces, func(o specs.LinuxNamespace) bool { return o.Type == n.kind })
		switch {
		case own && i >= 0:
			l.Namespaces[i] = ns
		case own:
			l.Namespaces = append(l.Namespaces, ns)
		case i >= 0:
			l.Namespaces = slices.Delete(l.Namespaces, i, i+1)
		}
	}
	switch {
	case userns == "host", strings.HasPrefix(userns, "ns:"), strings.HasPrefix(userns, "container:"):
		l.UIDMappings, l.GIDMappings = nil, nil
	case userns != "":
		if len(c.o.UIDMappings)+len(c.o.GIDMappings) == 0 {
			c.o.UIDMappings, c.o.GIDMappings = l.UIDMappings, l.GIDMappings
		}
		if err := c.mappings(); err != nil {
			return err
		}
	}
	if c.o.UTS == "host" {
		c.spec.Hostname, c.spec.Domainname = "", ""
	}
	if c.o.Hostname == "" && c.o.Domainname == "" {
		return nil
	}
	c.o.Hostname, c.o.Domainname = cmp.Or(c.o.Hostname, c.spec.Hostname), cmp.Or(c.o.Domainname, c.spec.Domainname)
	return c.names()
}

// editCapabilities adds to the sets that a program of root has, and takes from all.
func (c *conversion) editCapabilities() error {
	if len(c.o.CapAdd)+len(c.o.CapDrop) == 0 && !c.o.Privileged {
		return nil
	}
	ask, err := c.capabilityFlags()
	if err != nil {
		return err
	}
	p := c.process()
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	sets := p.Capabilities
	sets.Bounding = ask.apply(sets.Bounding)
	if p.User.UID == 0 || len(sets.Effective)+len(sets.Permitted) > 0 {
		sets.Effective, sets.Permitted = ask.apply(sets.Effective), ask.apply(sets.Permitted)
	}
	gone := func(n string) bool { return !slices.Contains(sets.Bounding, n) }
	sets.Inheritable, sets.Ambient = slices.DeleteFunc(sets.Inheritable, gone), slices.DeleteFunc(sets.Ambient, gone)
	return nil
}

// editMounts puts a mount in the place of one at the same destination, and a new one at the end.
func (c *conversion) editMounts() error {
	user, err := c.userMounts()
	if err != nil {
		return err
	}
	for _, m := range user {
		i := slices.IndexFunc(c.spec.Mounts, func(o specs.Mount) bool { return path.Clean(o.Destination) == path.Clean(m.Destination) })
		if i >= 0 {
			c.spec.Mounts[i] = m
		} else {
			c.spec.Mounts = append(c.spec.Mounts, m)
		}
	}
	size, err := c.shmSize()
	if err != nil {
		return err
	}
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		switch dest := path.Clean(m.Destination); {
		case dest == "/dev/shm" && m.Type == "tmpfs" && c.o.ShmSize != "":
			m.Options = append(slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "size=") }), size)
		case c.o.Privileged && (m.Type == "sysfs" || strings.HasPrefix(m.Type, "cgroup")):
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
	}
	return nil
}

func (c *conversion) editDevices() error {
	if !slices.ContainsFunc(c.o.Devices, func(d string) bool { return !isCDI(d) }) && len(c.o.DeviceCgroupRules) == 0 && !c.o.Privileged {
		return nil
	}
	if c.spec.Linux.Resources == nil {
		c.spec.Linux.Resources = &specs.LinuxResources{}
	}
	return c.devices()
}

// editResources sets the limits that are asked for beside those that are there.
func (c *conversion) editResources() error {
	if err := c.cgroupsPath(); err != nil {
		return err
	}
	asked, err := c.askedLimits()
	if err != nil || asked == nil {
		return err
	}
	l := c.spec.Linux
	if l.Resources == nil {
		l.Resources = &specs.LinuxResources{}
	}
	r := l.Resources
	r.Memory, r.CPU = mergeFields(r.Memory, asked.Memory), mergeFields(r.CPU, asked.CPU)
	r.Pids, r.BlockIO = cmp.Or(asked.Pids, r.Pids), mergeBlockIO(r.BlockIO, asked.BlockIO)
	if r.Unified == nil {
		r.Unified = asked.Unified
	} else {
		maps.Copy(r.Unified, asked.Unified)
	}
	return nil
}

// mergeFields sets in there what asked has.
func mergeFields[T any](there, asked *T) *T {
	if there == nil || asked == nil {
		return cmp.Or(asked, there)
	}
	to, from := reflect.ValueOf(there).Elem(), reflect.ValueOf(asked).Elem()
	for i := range from.NumField() {
		if f := from.Field(i); !f.IsZero() {
			to.Field(i).Set(f)
		}
	}
	return there
}

func (c *conversion) editLimits() error {
	if len(c.o.Ulimits) > 0 || c.o.OOMScoreAdj != nil {
		c.process()
		if err := c.limits(); err != nil {
			return err
		}
	}
	if len(c.o.Sysctls) == 0 {
		return nil
	}
	if c.spec.Linux.Sysctl == nil {
		c.spec.Linux.Sysctl = make(map[string]string)
	}
	return c.userSysctls(c.spec.Linux.Sysctl)
}

// editSecurity leaves a profile alone that is there, unless another is asked for by name.
func (c *conversion) editSecurity() error {
	s, err := parseSecurity(c.o.SecurityOpts)
	if err != nil || len(c.o.SecurityOpts) == 0 && !c.o.Privileged {
		return err
	}
	p, l := c.process(), c.spec.Linux
	if s.privileges {
		p.NoNewPrivileges = s.noNewPrivileges
	}
	c.selinux(s.label)
	c.procOptions(s.proc)
	switch {
	case s.apparmor == "unconfined", c.o.Privileged:
		p.ApparmorProfile = ""
	case s.apparmor != "":
		p.ApparmorProfile = s.apparmor
	}
	if c.o.Privileged || len(s.mask)+len(s.unmask) > 0 || s.unmaskAll {
		c.host.ThermalThrottle = nil // a default
		c.paths(s)
	}
	switch {
	case s.seccomp == "unconfined", c.o.Privileged && s.seccompFlag == "":
		l.Seccomp = nil
	case s.seccompFlag == "":
	case s.seccomp == "builtin":
		l.Seccomp, err = defaultSeccomp(c.spec)
	default:
		err = c.seccompFile(s)
	}
	return err
}
