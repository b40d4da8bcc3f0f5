package host

import (
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Numbers of capabilities (linux/capability.h).
const (
	capSetgid      = 6
	capSetuid      = 7
	capSysAdmin    = 21
	capSysNice     = 23
	capSysResource = 24
	capMknod       = 27
	capNetAdmin    = 12
)

func (j *judge) namespaces() {
	const base = "/linux/namespaces"
	users, told := j.joinsUser(), false
	for i, n := range j.linux.Namespaces {
		pointer := base + "/" + strconv.Itoa(i)
		limit, known := j.Namespaces[n.Type]
		switch {
		case j.Namespaces != nil && !known:
			j.refuse(pointer+"/type", "a newer kernel, or leave it out", ErrKernel, "namespaces of type %s", n.Type)
		case n.Path != "":
			j.namespaceFile(pointer+"/path", n)
		case known && limit == 0:
			j.refuse(pointer+"/type", "raise user.max_"+limitName(n.Type)+"_namespaces", ErrOff, "the machine allows no new namespace of type %s", n.Type)
		case n.Type == specs.UserNamespace && !j.holds(capSysAdmin) && j.UsernsForbidden != "":
			j.refuse(pointer+"/type", "as root: sysctl "+j.UsernsForbidden, ErrOff, "user namespaces for users without privileges (%s)", j.UsernsForbidden)
		case n.Type != specs.UserNamespace && !users && !j.holds(capSysAdmin) && !told:
			told = true // once is enough
			j.refuse(pointer+"/type", "a namespace of type user as well, with mappings; or run as root", ErrPrivilege, "a new namespace of type %s", n.Type)
		}
	}
	if len(j.linux.Namespaces) == 0 && !j.holds(capSysAdmin) {
		j.refuse(base, "namespaces of type user and mount, with mappings; or run as root", ErrPrivilege, "a container without a user namespace")
	}
}

// joinsUser tells whether there is a user namespace, in which the caller has all rights over the others.
func (j *judge) joinsUser() bool {
	_, ok := j.namespace(specs.UserNamespace)
	return ok
}

// limitName is how /proc/sys/user calls a type.
func limitName(t specs.LinuxNamespaceType) string { return file(t) }

// file is how /proc/self/ns calls a type.
func file(t specs.LinuxNamespaceType) string {
	switch t {
	case specs.MountNamespace:
		return "mnt"
	case specs.NetworkNamespace:
		return "net"
	}
	return string(t)
}

// namespaceFile judges a namespace that is to be joined.
func (j *judge) namespaceFile(pointer string, n specs.LinuxNamespace) {
	const hint = "the path of a namespace, such as /proc/PID/ns/X of a process that runs, or leave path out for a new one"
	f, ok := j.Files[n.Path]
	switch {
	case !ok || f.Kind == "":
	case !j.there(pointer, n.Path, hint):
	case f.Kind != Namespace:
		j.refuse(pointer, hint, ErrKind, "%s is a %s and no namespace", n.Path, f.Kind)
	case f.Type != "" && f.Type != n.Type:
		j.refuse(pointer, hint, ErrKind, "%s is a namespace of type %s, not %s", n.Path, f.Type, n.Type)
	case f.Own && n.Type == specs.UserNamespace:
		j.refuse(pointer, "leave the entry out: without it the container is in that namespace", ErrKind, "a process cannot join the user namespace that it is in")
	case f.Above && n.Type != specs.UserNamespace:
		j.refuse(pointer, "a namespace that was made in this user namespace or below it, or no entry", ErrPrivilege, "joining %s, which belongs to a user namespace above", n.Path)
	case !j.holds(capSysAdmin) && !j.joinsUser():
		j.refuse(pointer, "a namespace of type user that owns it; or run as root", ErrPrivilege, "joining a namespace of type %s", n.Type)
	}
}

// there adds a finding for a host file that cannot be used, and tells whether it can.
func (j *judge) there(pointer, path, hint string) bool {
	switch j.Files[path].Kind {
	case Absent:
		j.refuse(pointer, hint, ErrAbsent, "%s", path)
	case Denied:
		j.refuse(pointer, hint, ErrPrivilege, "looking at %s", path)
	case Hung:
		j.refuse(pointer, hint, ErrNoAnswer, "%s", path)
	default:
		return true
	}
	return false
}

// mappings judges whether the caller may write the id maps of a new user namespace.
func (j *judge) mappings() {
	if !j.fresh(specs.UserNamespace) {
		return
	}
	for _, m := range []struct {
		name, file string
		list       []specs.LinuxIDMapping
		capability int
		own        uint32
		have, sub  []Range
	}{
		{"uidMappings", "/etc/subuid", j.linux.UIDMappings, capSetuid, j.UID, j.UIDs, j.SubUIDs},
		{"gidMappings", "/etc/subgid", j.linux.GIDMappings, capSetgid, j.GID, j.GIDs, j.SubGIDs},
	} {
		alone := len(m.list) == 1 && m.list[0].Size == 1 && m.list[0].HostID == m.own
		for i, e := range m.list {
			pointer := "/linux/" + m.name + "/" + strconv.Itoa(i)
			want := Range{uint64(e.HostID), uint64(e.HostID) + uint64(max(e.Size, 1)) - 1}
			switch {
			case m.have != nil && !covered(m.have, want):
				j.refuse(pointer, "ids that are mapped here: "+ranges(m.have), ErrRange, "ids %d to %d are not mapped in this user namespace", want.First, want.Last)
			case j.holds(m.capability) || alone:
			case want.First == uint64(m.own) && want.Last == want.First && j.MapHelpers:
			case !covered(m.sub, want):
				j.refuse(pointer, "ids of "+m.file+", or the caller's own alone: hostID "+strconv.Itoa(int(m.own))+", size 1", ErrPrivilege, "mapping ids %d to %d, which %s does not give the caller", want.First, want.Last, m.file)
			case !j.MapHelpers:
				j.refuse(pointer, "install newuidmap and newgidmap (package uidmap)", ErrAbsent, "a program that may map ids %d to %d", want.First, want.Last)
			}
		}
	}
}

// user judges whether the process may become what process.user says.
func (j *judge) user() {
	p := j.s.Process
	if p == nil {
		return
	}
	j.mappedID("/process/user/uid", "uidMappings", j.uids, p.User.UID)
	j.mappedID("/process/user/gid", "gidMappings", j.gids, p.User.GID)
	for i, g := range p.User.AdditionalGids {
		j.mappedID("/process/user/additionalGids/"+strconv.Itoa(i), "gidMappings", j.gids, g)
	}
	single := j.fresh(specs.UserNamespace) && !j.holds(capSetgid) && len(j.linux.GIDMappings) == 1 && j.linux.GIDMappings[0].Size == 1
	if len(p.User.AdditionalGids) > 0 && (j.SetgroupsDenied || single) {
		j.refuse("/process/user/additionalGids", "none, or gidMappings from /etc/subgid", ErrPrivilege, "setgroups(2) in a user namespace whose group map was written without privileges")
	}
}

func (j *judge) mappedID(pointer, property string, have []Range, id uint32) {
	if have != nil && !covered(have, Range{uint64(id), uint64(id)}) {
		j.refuse(pointer, "an id of "+property+": "+ranges(have), ErrRange, "%d is not mapped in the container's user namespace", id)
	}
}

// insides are the ids that the maps of a config have in the container.
func insides(maps []specs.LinuxIDMapping) []Range {
	list := make([]Range, 0, len(maps))
	for _, m := range maps {
		if m.Size > 0 {
			list = append(list, Range{uint64(m.ContainerID), uint64(m.ContainerID) + uint64(m.Size) - 1})
		}
	}
	return joined(list)
}

// timeOffsets judges the shifts of clocks: one below 0, or beyond half of what the kernel counts, is ERANGE (time_namespaces(7)).
func (j *judge) timeOffsets() {
	if !j.fresh(specs.TimeNamespace) || j.Boottime == 0 {
		return
	}
	const most = (1<<63 - 1) / int64(time.Second) / 2
	for _, c := range []struct {
		name string
		now  time.Duration
	}{{"boottime", j.Boottime}, {"monotonic", j.Monotonic}} {
		o, ok := j.linux.TimeOffsets[c.name]
		now := int64(c.now / time.Second)
		if ok && (o.Secs < -now-1 || o.Secs > most-now) {
			j.refuse("/linux/timeOffsets/"+c.name, "at least -"+strconv.FormatInt(now, 10), ErrRange, "%d s from now on a clock at %d s", o.Secs, now)
		}
	}
}
