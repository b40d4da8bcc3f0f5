package main

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/unpack"
)

// idMapFlags are --uid-map and --gid-map, as they are for every verb that gives files to other ids than the
// image says, or makes a user namespace: podman's --uidmap and umoci's --uid-map in syntax.
type idMapFlags struct {
	uids, gids []string
}

func (m *idMapFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&m.uids, "uid-map", nil, "map user ids of the image to ids of the host: `container:host[:size]`; may be repeated")
	f.StringArrayVar(&m.gids, "gid-map", nil, "map group ids: `container:host[:size]` (default: as --uid-map)")
}

// maps gives the maps of the flags; both nil without any. One that is not given is as the other.
func (m *idMapFlags) maps() (uids, gids []unpack.IDMap, err error) {
	if uids, err = parseIDMaps("--uid-map", m.uids); err != nil {
		return nil, nil, err
	}
	if gids, err = parseIDMaps("--gid-map", m.gids); err != nil {
		return nil, nil, err
	}
	switch {
	case uids == nil:
		uids = gids
	case gids == nil:
		gids = uids
	}
	return uids, gids, nil
}

// maxIDMaps is how many ranges a user namespace takes (user_namespaces(7)).
const maxIDMaps = 340

// maxID is the last id; the one after it, -1 to chown(2), is none.
const maxID = 1<<32 - 2

func parseIDMaps(flag string, list []string) ([]unpack.IDMap, error) {
	if len(list) > maxIDMaps {
		return nil, usageErrorf(nil, "%s: %d ranges, the kernel takes %d", flag, len(list), maxIDMaps)
	}
	var maps []unpack.IDMap
	for _, s := range list {
		m, err := parseIDMap(flag, s)
		if err != nil {
			return nil, err
		}
		for _, other := range maps {
			if overlap(m.ContainerID, other.ContainerID, m.Size, other.Size) || overlap(m.HostID, other.HostID, m.Size, other.Size) {
				return nil, usageErrorf(nil, "%s: %q overlaps with the range %d:%d:%d", flag, s, other.ContainerID, other.HostID, other.Size)
			}
		}
		maps = append(maps, m)
	}
	return maps, nil
}

func parseIDMap(flag, s string) (unpack.IDMap, error) {
	fields := strings.Split(s, ":")
	if len(fields) == 2 {
		fields = append(fields, "1")
	}
	var n [3]uint32
	if len(fields) != len(n) {
		return unpack.IDMap{}, usageErrorf(nil, "%s: %q is not container:host[:size]", flag, s)
	}
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return unpack.IDMap{}, usageErrorf(nil, "%s: %q is not container:host[:size]: %q is not a number from 0 to %d", flag, s, f, uint32(maxID))
		}
		n[i] = uint32(v)
	}
	m := unpack.IDMap{ContainerID: n[0], HostID: n[1], Size: n[2]}
	if m.Size == 0 || uint64(m.ContainerID)+uint64(m.Size)-1 > maxID || uint64(m.HostID)+uint64(m.Size)-1 > maxID {
		return m, usageErrorf(nil, "%s: %q has no ids, or some above %d", flag, s, uint32(maxID))
	}
	return m, nil
}

// overlap tells whether two ranges of ids have one in common.
func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

// specMaps gives id maps in the words of runtime-spec.
func specMaps(maps []unpack.IDMap) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	for _, m := range maps {
		list = append(list, specs.LinuxIDMapping{ContainerID: m.ContainerID, HostID: m.HostID, Size: m.Size})
	}
	return list
}
