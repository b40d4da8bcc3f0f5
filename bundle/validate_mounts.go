package bundle

import (
	"cmp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// mountRules checks what mounts is asked for beyond the destination.
func (r *report) mountRules() {
	for i, m := range r.s.Mounts {
		pointer := at("/mounts", i, "")
		binds := slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
		if m.Source == "" && binds && !slices.Contains(m.Options, "remount") {
			r.add(pointer+"/source", spec.MountSource, "the path of a file or directory", ErrMissing, "")
		}
		for _, maps := range []struct {
			name        string
			ids, others []specs.LinuxIDMapping
			other       string
		}{{"uidMappings", m.UIDMappings, m.GIDMappings, "gidMappings"}, {"gidMappings", m.GIDMappings, m.UIDMappings, "uidMappings"}} {
			if len(maps.ids) > 0 && len(maps.others) == 0 {
				r.add(pointer+"/"+maps.other, spec.MountIDMappings, maps.other+" as well", ErrMissing, "%s is given", maps.name)
			}
			r.ranges(pointer+"/"+maps.name, maps.ids)
		}
		idmap := slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
		if idmap && len(m.UIDMappings)+len(m.GIDMappings) == 0 && r.platform == Linux && (r.s.Linux == nil || !has(r.s.Linux, specs.UserNamespace)) {
			r.add(pointer+"/options", spec.MountIDMap, "uidMappings and gidMappings, or a namespace of type user", ErrInvalid, "ids are mapped, and nothing says how")
		}
	}
	if r.platform == Windows {
		r.nested()
	}
}

// nested refuses a mount inside another one, which Windows cannot make.
func (r *report) nested() {
	type place struct {
		path  string // with NUL between its names, so that what lies in a directory follows it in order
		index int
	}
	var places []place
	for i, m := range r.s.Mounts {
		if m.Destination != "" {
			places = append(places, place{strings.ReplaceAll(windowsClean(m.Destination), `\`, "\x00"), i})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.path, b.path) })
	var outer []place
	for _, p := range places {
		for len(outer) > 0 && !strings.HasPrefix(p.path, outer[len(outer)-1].path+"\x00") {
			outer = outer[:len(outer)-1]
		}
		if len(outer) > 0 {
			r.add(at("/mounts", p.index, "/destination"), spec.MountNested, "a place of its own", ErrInvalid, "it lies in that of mount %d", outer[len(outer)-1].index)
		}
		outer = append(outer, p)
	}
}

func windowsClean(path string) string {
	return strings.TrimRight(strings.ToLower(strings.ReplaceAll(path, "/", `\`)), `\`)
}

// windowsAbsolute takes a drive with a path, and what begins with two backslashes.
func windowsAbsolute(path string) bool {
	if strings.HasPrefix(path, `\\`) {
		return true
	}
	drive := byte(0)
	if len(path) > 2 {
		drive = path[0] | 0x20
	}
	return drive >= 'a' && drive <= 'z' && path[1] == ':' && (path[2] == '\\' || path[2] == '/')
}

// contrary are options of which the last one wins, so that the other is without effect.
func contrary() [][2]string {
	return [][2]string{
		{"ro", "rw"},
		{"suid", "nosuid"},
		{"dev", "nodev"},
		{"exec", "noexec"},
		{"sync", "async"},
		{"atime", "noatime"},
		{"diratime", "nodiratime"},
		{"relatime", "norelatime"},
		{"strictatime", "nostrictatime"},
		{"symfollow", "nosymfollow"},
		{"rro", "rrw"},
		{"bind", "rbind"},
		{"idmap", "ridmap"},
		{"iversion", "noiversion"},
		{"lazytime", "nolazytime"},
	}
}

// mountAdvice tells which options have no effect or an old meaning.
func (r *report) mountAdvice() {
	for i, m := range r.s.Mounts {
		has := func(option string) bool { return slices.Contains(m.Options, option) }
		pointer := at("/mounts", i, "")
		for _, pair := range contrary() {
			if has(pair[0]) && has(pair[1]) {
				r.add(pointer+"/options", spec.MountContrary, "one of "+pair[0]+" and "+pair[1], ErrInvalid, "%s and %s", pair[0], pair[1])
			}
		}
		for j, o := range m.Options {
			if o == "mand" || o == "nomand" {
				r.add(at(pointer+"/options", j, ""), spec.MountDeprecated, "leave it out", ErrInvalid, "%s is deprecated since Linux 5.15", o)
			}
		}
		if len(m.UIDMappings)+len(m.GIDMappings) > 0 && !has("idmap") && !has("ridmap") {
			r.add(pointer+"/options", spec.MountIDMapOption, "idmap or ridmap", ErrMissing, "an older runtime ignores the mappings silently")
		}
		if m.Type == "" && r.platform == Linux && !has("bind") && !has("rbind") && !has("remount") {
			r.add(pointer+"/type", spec.MountType, "a type of /proc/filesystems, or the option bind", ErrMissing, "")
		}
	}
}
