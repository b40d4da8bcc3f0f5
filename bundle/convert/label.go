package convert

import (
	"path"
	"slices"
	"strings"
)

// selinuxLabel are the parts of a security context that --security-opt label=... names; "" is the usual one.
type selinuxLabel struct {
	user, role, kind, level, file string
	asked                         bool
}

// set takes user:U, role:R, type:T, level:L, filetype:T or disable, as Docker and podman have them.
func (l *selinuxLabel) set(value, v string) error {
	part, text, ok := strings.Cut(v, ":")
	field := map[string]*string{"user": &l.user, "role": &l.role, "type": &l.kind, "level": &l.level, "filetype": &l.file}[part]
	switch {
	case v == "disable":
		*l = selinuxLabel{}
		return nil
	case !ok || field == nil || text == "" || strings.ContainsAny(text, "\x00 \t\n") || part != "level" && strings.Contains(text, ":"):
		return usage("--security-opt", value, "want label=disable, or label= with user:, role:, type:, level: or filetype: and a name")
	}
	*field, l.asked = text, true
	return nil
}

// selinux sets the labels that are asked for, where SELinux is on; elsewhere they mean nothing, as with Docker and podman, and a runtime
// would have to refuse them. The parts that are not named are those of the policy of containers (container_selinux(8)). No label is set
// unless one is asked for: the files of the root file system would need one too.
func (c *conversion) selinux(l selinuxLabel) {
	if !l.asked || !c.host.SELinux || c.o.Privileged {
		return
	}
	part := func(s, usual string) string {
		if s == "" {
			return usual
		}
		return s
	}
	level := part(l.level, "s0")
	c.spec.Process.SelinuxLabel = strings.Join([]string{part(l.user, "system_u"), part(l.role, "system_r"), part(l.kind, "container_t"), level}, ":")
	c.spec.Linux.MountLabel = strings.Join([]string{part(l.user, "system_u"), "object_r", part(l.file, "container_file_t"), level}, ":")
}

// setProc takes options of proc(5), separated by commas.
func (s *securityOptions) setProc(value, v string) error {
	for option := range strings.SplitSeq(v, ",") {
		name, text, ok := strings.Cut(option, "=")
		if !ok || text == "" || !slices.Contains([]string{"hidepid", "gid", "subset"}, name) || strings.ContainsAny(text, "\x00 ") {
			return usage("--security-opt", value, "want proc-opts= with hidepid=, gid= or subset=")
		}
		s.proc = append(slices.DeleteFunc(s.proc, func(o string) bool { return strings.HasPrefix(o, name+"=") }), option)
	}
	return nil
}

// procOptions adds to the mount of /proc, in place of such that are there.
func (c *conversion) procOptions(options []string) {
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		if path.Clean(m.Destination) != "/proc" || m.Type != "proc" {
			continue
		}
		for _, option := range options {
			name, _, _ := strings.Cut(option, "=")
			m.Options = append(slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, name+"=") }), option)
		}
	}
}
