package convert

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// idmapFlag is idmap of a mount: without maps, those of the container.
type idmapFlag struct{ uids, gids []idRange }

// idRange maps size ids of the source from disk on to ids of the host from host on, or if inside to those that the
// container's ids from host on have.
type idRange struct {
	disk, host, size uint32
	inside           bool
}

// setIDMap takes the value of idmap as podman has it: nothing, true, false, or uids=0-1-10#10-11-10;gids=0-100-10, each
// a first id of the source, the first id that it becomes, and a number of ids; with @ the second is one of the container.
func (f *mountFlag) setIDMap(v string) error {
	switch v {
	case "false":
		f.idmap = nil
		return nil
	case "", "true":
		f.idmap = &idmapFlag{}
		return nil
	}
	m := &idmapFlag{}
	for part := range strings.SplitSeq(v, ";") {
		name, list, _ := strings.Cut(part, "=")
		ranges, ok := parseIDRanges(list)
		switch {
		case ok && name == "uids":
			m.uids = append(m.uids, ranges...)
		case ok && name == "gids":
			m.gids = append(m.gids, ranges...)
		default:
			return f.usage("idmap: %q: want uids=FROM-TO-NUMBER[#FROM-TO-NUMBER...];gids=...", part)
		}
	}
	if m.gids == nil {
		m.gids = m.uids
	} else if m.uids == nil {
		m.uids = m.gids
	}
	f.idmap = m
	return nil
}

func parseIDRanges(list string) ([]idRange, bool) {
	var out []idRange
	for s := range strings.SplitSeq(list, "#") {
		var r idRange
		s, r.inside = strings.CutPrefix(s, "@")
		fields := strings.Split(s, "-")
		if len(fields) != 3 {
			return nil, false
		}
		for i, to := range []*uint32{&r.disk, &r.host, &r.size} {
			n, err := strconv.ParseUint(fields[i], 10, 32)
			if err != nil {
				return nil, false
			}
			*to = uint32(n)
		}
		if r.size == 0 || uint64(r.disk)+uint64(r.size) > maxIDs || uint64(r.host)+uint64(r.size) > maxIDs {
			return nil, false
		}
		out = append(out, r)
	}
	return out, true
}

// maxIDs is the number of ids: the last, -1, is none.
const maxIDs = 1<<32 - 1

// mapIDs sets the maps of a mount.
func (c *conversion) mapIDs(f *mountFlag, m *specs.Mount) error {
	if f.idmap == nil {
		return nil
	}
	if len(f.idmap.uids) == 0 {
		switch {
		case !c.has(specs.UserNamespace):
			return f.usage("idmap: the container has no user namespace of its own; say which ids: idmap=uids=FROM-TO-NUMBER;gids=...")
		case len(c.spec.Linux.UIDMappings) > 0: // else those of a namespace that is joined
			m.UIDMappings, m.GIDMappings = c.spec.Linux.UIDMappings, c.spec.Linux.GIDMappings
		}
		return nil
	}
	var err error
	if m.UIDMappings, err = c.hostRanges(f, f.idmap.uids, c.uids); err == nil {
		m.GIDMappings, err = c.hostRanges(f, f.idmap.gids, c.gids)
	}
	return err
}

func (c *conversion) hostRanges(f *mountFlag, ranges []idRange, maps []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, error) {
	var out []specs.LinuxIDMapping
	for _, r := range ranges {
		m := specs.LinuxIDMapping{ContainerID: r.disk, HostID: r.host, Size: r.size}
		if r.inside && c.has(specs.UserNamespace) {
			first, ok := hostID(maps, r.host)
			last, okLast := hostID(maps, r.host+r.size-1)
			if !ok || !okLast || last-first != r.size-1 {
				return nil, f.usage("idmap: the container has no ids %d to %d in one piece", r.host, uint64(r.host)+uint64(r.size)-1)
			}
			m.HostID = first
		}
		out = append(out, m)
	}
	return out, nil
}

// hostID is the id of the host for one of a container with these maps.
func hostID(maps []specs.LinuxIDMapping, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + (id - m.ContainerID), true
		}
	}
	return 0, false
}
