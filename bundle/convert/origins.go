package convert

import (
	"path"
	"slices"
	"strconv"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// SpecWithOrigins is Spec that also says where the values come from. What has no mark is a default. Values of flags are not
// repeated, as they may be secret.
func SpecWithOrigins(img ispec.Image, rootfs Rootfs, o Options) (*specs.Spec, []origin.Mark, error) {
	c, err := converted(img, rootfs, o)
	if err != nil {
		return nil, nil, err
	}
	m := marks{c: c}
	for _, mark := range []func(*marks){
		(*marks).process, (*marks).env, (*marks).annotations, (*marks).names, (*marks).namespaces, (*marks).mounts, (*marks).capabilities, (*marks).devices,
		(*marks).limits, (*marks).kernel, (*marks).paths,
	} {
		mark(&m)
	}
	return c.spec, append(m.list, c.marked...), nil
}

// marks are collected from a conversion that is done: they tell from what was asked for, and from what came of it.
type marks struct {
	c    *conversion
	list []origin.Mark
}

func (m *marks) add(pointer string, kind origin.Kind, name string) {
	m.list = append(m.list, origin.Mark{Pointer: pointer, Kind: kind, Name: name})
}

// flag marks what a flag sets, if it was given.
func (m *marks) flag(pointer, name string, given bool) {
	if given {
		m.add(pointer, origin.Flag, name)
	}
}

// either marks what a flag sets, or what is a default among such.
func (m *marks) either(pointer, name string, given bool) {
	if given {
		m.add(pointer, origin.Flag, name)
	} else {
		m.add(pointer, origin.Default, "")
	}
}

func (m *marks) process() {
	c, config := m.c, m.c.img.Config
	entrypoint := config.Entrypoint
	if c.o.Entrypoint != nil {
		entrypoint = c.o.Entrypoint
	}
	for i := range c.spec.Process.Args[c.before:] {
		at := origin.At("/process/args", c.before+i)
		switch {
		case i < len(entrypoint) && c.o.Entrypoint != nil:
			m.add(at, origin.Flag, "--entrypoint")
		case i < len(entrypoint):
			m.add(at, origin.Image, element("config.Entrypoint", i))
		case len(c.o.Args) > 0:
			m.add(at, origin.Flag, "arguments")
		default:
			m.add(at, origin.Image, element("config.Cmd", i-len(entrypoint)))
		}
	}
	switch {
	case c.o.Workdir != "":
		m.add("/process/cwd", origin.Flag, "--workdir")
	case config.WorkingDir != "":
		m.add("/process/cwd", origin.Image, "config.WorkingDir")
	}
	switch {
	case c.o.User != "":
		m.add("/process/user", origin.Flag, "--user")
	case config.User != "":
		m.add("/process/user", origin.Image, "config.User")
	case len(c.spec.Process.User.AdditionalGids) > 0:
		m.add("/process/user/additionalGids", origin.Image, "/etc/group")
	}
	m.flag("/process/user/additionalGids", "--group-add", len(c.o.GroupAdd) > 0)
	m.flag("/process/terminal", "--tty", c.o.Terminal)
	m.flag("/root/readonly", "--read-only", c.o.ReadOnly)
	m.flag("/root/path", "DIR", c.o.Root != "")
}

// env marks each variable by who named it last.
func (m *marks) env() {
	c := m.c
	named := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(e string) bool { return variable(e) == name })
	}
	for i, e := range c.spec.Process.Env {
		at, name := origin.At("/process/env", i), variable(e)
		switch {
		case named(c.o.Env, name):
			m.add(at, origin.Flag, "--env")
		case named(c.o.EnvFile, name):
			m.add(at, origin.Flag, "--env-file")
		case named(c.img.Config.Env, name):
			m.add(at, origin.Image, element("config.Env", slices.Index(c.img.Config.Env, e)))
		case name == "HOME" && e != "HOME=/":
			m.add(at, origin.Image, "/etc/passwd")
		case name == "HOSTNAME":
			m.add(at, origin.Flag, "--hostname")
		case name == "TERM":
			m.add(at, origin.Flag, "--tty")
		}
	}
}

// element names one of a list of the image's config.
func element(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// variable is the name in what --env and --env-file take, and in the elements of an environment.
func variable(e string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(e, " \t"), "=")
	return strings.TrimSuffix(name, "\r")
}

func (m *marks) annotations() {
	c := m.c
	given := func(list []string, key string) bool {
		return slices.ContainsFunc(list, func(v string) bool { k, _, _ := strings.Cut(v, "="); return k == key })
	}
	for key := range c.spec.Annotations {
		at := "/annotations/" + spec.EscapeToken(key)
		_, label := c.img.Config.Labels[key]
		switch {
		case given(c.o.Annotations, key):
			m.add(at, origin.Flag, "--annotation")
		case given(c.o.Labels, key):
			m.add(at, origin.Flag, "--label")
		case label:
			m.add(at, origin.Image, "config.Labels["+strconv.Quote(key)+"]")
		case key == "org.opencontainers.image.stopSignal" && c.o.StopSignal != "":
			m.add(at, origin.Flag, "--stop-signal")
		default:
			m.add(at, origin.Image, implicitField(strings.TrimPrefix(key, "org.opencontainers.image.")))
		}
	}
}

// implicitField is the field of the image's config that an annotation of conversion.md repeats.
func implicitField(annotation string) string {
	switch annotation {
	case "stopSignal":
		return "config.StopSignal"
	case "exposedPorts":
		return "config.ExposedPorts"
	}
	return annotation
}

func (m *marks) names() {
	m.flag("/hostname", "--hostname", m.c.spec.Hostname != "")
	m.flag("/domainname", "--domainname", m.c.spec.Domainname != "")
}

func (m *marks) namespaces() {
	c := m.c
	flags := map[specs.LinuxNamespaceType][2]string{
		specs.PIDNamespace: {"--pid", c.o.PID}, specs.IPCNamespace: {"--ipc", c.o.IPC}, specs.UTSNamespace: {"--uts", c.o.UTS},
		specs.NetworkNamespace: {"--network", c.o.Network}, specs.CgroupNamespace: {"--cgroupns", c.o.Cgroupns},
	}
	for i, n := range c.spec.Linux.Namespaces {
		at, flag := origin.At("/linux/namespaces", i), flags[n.Type]
		switch {
		case n.Type == specs.UserNamespace && c.o.Rootless:
			m.add(at, origin.Host, rootlessFact)
		case n.Type == specs.UserNamespace:
			m.add(at, origin.Flag, "--userns, --uid-map or --gid-map")
		default: // each for itself: one that a flag took away leaves the others what they are
			m.either(at, flag[0], flag[1] != "")
		}
	}
	for _, at := range []string{"/linux/uidMappings", "/linux/gidMappings"} {
		if c.o.Rootless {
			m.add(at, origin.Host, rootlessFact)
		} else {
			m.add(at, origin.Flag, "--userns, --uid-map or --gid-map")
		}
	}
}

const rootlessFact = "the user is not root"

// mounts marks each by its destination: a default one that is not as by default was fitted to the namespaces.
func (m *marks) mounts() {
	c := m.c
	flags, _ := parseMounts(c.o) // what it refuses was refused before
	usual := bundle.DefaultSpec().Mounts
	for i, mount := range c.spec.Mounts {
		at, dest := origin.At("/mounts", i), path.Clean(mount.Destination)
		f := slices.IndexFunc(flags, func(f mountFlag) bool { return path.Clean(f.target) == dest })
		switch {
		case f >= 0:
			m.add(at, origin.Flag, flags[f].flag)
		case c.from[dest] != "":
			m.add(at, origin.Flag, c.from[dest])
		case mountsAt(c.o.SpecMounts, dest):
			m.add(at, origin.Host, "made for the container")
		case slices.ContainsFunc(usual, func(u specs.Mount) bool { return sameMount(u, mount) }):
		case mountsAt(usual, dest):
			m.fitted(at, dest)
		default:
			m.add(at, origin.Image, "config.Volumes["+strconv.Quote(m.volume(dest))+"]")
		}
	}
}

// volume is how the image's config spells the destination of one of its volumes.
func (m *marks) volume(dest string) string {
	for v := range m.c.img.Config.Volumes {
		if path.Join("/", v) == dest {
			return v
		}
	}
	return dest
}

func (m *marks) fitted(at, dest string) {
	c := m.c
	switch {
	case dest == "/dev/shm" && c.has(specs.IPCNamespace):
		m.add(at, origin.Flag, "--shm-size")
	case strings.HasPrefix(dest, "/sys") && c.o.Privileged:
		m.add(at, origin.Flag, "--privileged")
	case dest == "/proc" && slices.ContainsFunc(c.o.SecurityOpts, func(o string) bool { return strings.HasPrefix(o, "proc-opts") }):
		m.add(at, origin.Flag, "--security-opt proc-opts")
	case dest == "/proc":
		m.add(at, origin.Flag, "--pid")
	case dest == "/dev/shm", dest == "/dev/mqueue":
		m.add(at, origin.Flag, "--ipc")
	case dest == "/sys":
		m.add(at, origin.Flag, "--network")
	default: // /dev/pts without a group that the user namespace lacks
		m.add(at, origin.Host, "the ids of the user namespace")
	}
}

func sameMount(a, b specs.Mount) bool {
	return a.Destination == b.Destination && a.Type == b.Type && a.Source == b.Source && slices.Equal(a.Options, b.Options)
}

// capabilities marks the set that a flag changed as a whole: what was taken away cannot be marked.
func (m *marks) capabilities() {
	c := m.c
	var flags []string
	for _, f := range []struct {
		name  string
		given bool
	}{{"--privileged", c.o.Privileged}, {"--cap-add", len(c.o.CapAdd) > 0}, {"--cap-drop", len(c.o.CapDrop) > 0}} {
		if f.given {
			flags = append(flags, f.name)
		}
	}
	m.flag("/process/capabilities", strings.Join(flags, " "), len(flags) > 0)
}

func (m *marks) devices() {
	c, l := m.c, m.c.spec.Linux
	for i := range l.Devices {
		if i < m.c.named {
			m.add(origin.At("/linux/devices", i), origin.Flag, "--device")
		} else {
			m.add(origin.At("/linux/devices", i), origin.Flag, "--privileged")
		}
	}
	if l.Resources == nil {
		return
	}
	usual := len(bundle.DefaultSpec().Linux.Resources.Devices)
	for i := range l.Resources.Devices {
		switch {
		case c.o.Privileged:
			m.add(origin.At("/linux/resources/devices", i), origin.Flag, "--privileged")
		case i >= usual:
			m.add(origin.At("/linux/resources/devices", i), origin.Flag, "--device")
		}
	}
}

// limits marks what each flag sets: a limit is never there by default, but for what follows from another.
func (m *marks) limits() {
	o := m.c.o
	for _, f := range o.limitFlags() {
		for _, p := range f.pointers {
			m.add("/linux/resources/"+p, origin.Flag, f.flag)
		}
	}
	m.flag("/linux/cgroupsPath", "--cgroups-path", o.CgroupsPath != "")
	m.flag("/linux/cgroupsPath", "--cgroup-parent", o.CgroupParent != "")
	m.flag("/process/rlimits", "--ulimit", len(o.Ulimits) > 0)
	m.flag("/process/oomScoreAdj", "--oom-score-adj", o.OOMScoreAdj != nil)
}

// kernel marks what depends on it: parameters, and the filter of system calls.
func (m *marks) kernel() {
	c := m.c
	for key := range c.spec.Linux.Sysctl {
		given := slices.ContainsFunc(c.o.Sysctls, func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return strings.ReplaceAll(name, "/", ".") == key
		})
		m.either("/linux/sysctl/"+spec.EscapeToken(key), "--sysctl", given)
	}
	s, _ := parseSecurity(c.o.SecurityOpts)
	switch {
	case s.seccompFlag != "":
		m.add("/linux/seccomp", origin.Flag, "--security-opt seccomp")
	default:
		m.add("/linux/seccomp", origin.Host, "Docker's default profile for this kernel, its architecture and the capabilities")
	}
	m.flag("/process/noNewPrivileges", "--security-opt no-new-privileges", s.noNewPrivileges)
	m.flag("/process/selinuxLabel", "--security-opt label", c.spec.Process.SelinuxLabel != "")
	m.flag("/linux/mountLabel", "--security-opt label", c.spec.Linux.MountLabel != "")
	m.flag("/process/apparmorProfile", "--security-opt apparmor", s.apparmor != "")
}

func (m *marks) paths() {
	c := m.c
	s, _ := parseSecurity(c.o.SecurityOpts)
	for i, p := range c.spec.Linux.MaskedPaths {
		switch at := origin.At("/linux/maskedPaths", i); {
		case slices.Contains(s.mask, p) && !slices.Contains(bundle.DefaultSpec().Linux.MaskedPaths, p):
			m.add(at, origin.Flag, "--security-opt mask")
		case slices.Contains(c.host.ThermalThrottle, p):
			m.add(at, origin.Host, "it tells about the load of other containers")
		default:
			m.add(at, origin.Default, "")
		}
	}
	for i := range c.spec.Linux.ReadonlyPaths {
		m.add(origin.At("/linux/readonlyPaths", i), origin.Default, "")
	}
}
