package cgroup

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Layout says where the hierarchies of this machine are mounted, and where in them this process is.
type Layout struct {
	unified hierarchy   // cgroup2; without mount if there is none
	v1      []hierarchy // in the order of /proc/self/cgroup, which counts down
}

// hierarchy is one mounted tree of groups.
type hierarchy struct {
	mount       string   // mount point
	own         string   // directory of this process's group; "" if not known yet
	controllers []string // "cpu", "memory", ... or "name=systemd"; nil for cgroup2
}

// Version is "v1", "hybrid" or "v2"; "none" without a hierarchy.
func (l Layout) Version() string {
	switch {
	case len(l.v1) == 0 && l.unified.mount == "":
		return "none"
	case len(l.v1) == 0:
		return "v2"
	case l.unified.mount == "":
		return "v1"
	}
	return "hybrid"
}

// maxText bounds what is read of /proc/self/mountinfo: a machine with ten thousand mounts has 2 MiB.
const maxText = 16 << 20

const mountRoot = "/sys/fs/cgroup"

// Parse gives the layout that the texts of /proc/self/mountinfo and /proc/self/cgroup describe.
func Parse(mountinfo, cgroup string) (Layout, error) {
	var l Layout
	type mount struct {
		hierarchy
		root  string
		super []string
	}
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		if !ok || !strings.HasPrefix(after, "cgroup") {
			continue
		}
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 3 || g[0] != "cgroup" && g[0] != "cgroup2" {
			continue
		}
		m := mount{hierarchy: hierarchy{mount: unescape(f[4])}, root: unescape(f[3])}
		if g[0] == "cgroup" {
			m.super = strings.Split(g[2], ",")
		}
		mounts = append(mounts, m)
	}
	// The conventional place comes first: container engines mount hierarchies elsewhere too.
	slices.SortStableFunc(mounts, func(a, b mount) int {
		return conventional(a.mount) - conventional(b.mount)
	})
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") {
			return Layout{}, &Error{Op: "parse /proc/self/cgroup", Subject: strconv.Quote(line), Err: ErrMalformed}
		}
		names := strings.Split(f[1], ",")
		for _, m := range mounts {
			switch {
			case f[0] == "0" && f[1] == "" && m.super == nil && l.unified.mount == "":
				l.unified = m.hierarchy
				l.unified.own = own(m.mount, m.root, f[2])
			case f[1] != "" && m.super != nil && containsAll(m.super, names):
				m.own, m.controllers = own(m.mount, m.root, f[2]), names
				if !slices.ContainsFunc(l.v1, func(h hierarchy) bool { return h.controllers[0] == names[0] }) {
					l.v1 = append(l.v1, m.hierarchy)
				}
			}
		}
	}
	if l.Version() == "none" {
		return Layout{}, &Error{Op: "find cgroups", Err: ErrNoCgroup}
	}
	return l, nil
}

func conventional(mount string) int {
	if below(mount, mountRoot) {
		return 0
	}
	return 1
}

func containsAll(super, names []string) bool {
	for _, n := range names {
		if !slices.Contains(super, n) {
			return false
		}
	}
	return true
}

// own gives the directory of a group that /proc/self/cgroup names. Without a cgroup namespace a
// container sees there a path of the host, of which root is what is mounted.
func own(mount, root, group string) string {
	if root != "/" {
		rest, ok := strings.CutPrefix(group, root)
		if !ok || rest != "" && rest[0] != '/' {
			return mount
		}
		group = rest
	}
	if strings.HasPrefix(group, "/..") { // outside of the cgroup namespace
		return mount
	}
	return path.Join(mount, group)
}

// below says whether p is dir or lies in it.
func below(p, dir string) bool {
	rest, ok := strings.CutPrefix(p, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
