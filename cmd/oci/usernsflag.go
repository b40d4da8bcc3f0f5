package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/bundle/convert"
)

// userns takes the values of --userns that are about the ids of the user who is not root, as podman has them, and puts maps in
// their place: keep-id is a user namespace in which the user has the same id, or that of keep-id:uid=N,gid=N, and is who the container
// runs as; nomap one in which the user has none.
func (m *idMapFlags) userns(o *convert.Options) error {
	value := o.Userns
	kind, options, _ := strings.Cut(value, ":")
	switch kind {
	case "keep-id", "nomap":
	case "auto":
		return usageErrorf(nil, "--userns auto: ids are not chosen here; name them: --uid-map 0:100000:65536")
	default:
		return nil
	}
	uid, gid := ownIDs()
	switch {
	case uid == 0:
		return usageErrorf(nil, "--userns %s is for users who are not root; as root name the ids: --uid-map 0:100000:65536", value)
	case len(m.uids)+len(m.gids) > 0:
		return usageErrorf(nil, "--userns %s and --uid-map or --gid-map exclude each other", value)
	}
	keptUID, keptGID := uid, gid
	if kind == "nomap" {
		keptUID, keptGID = -1, -1
		if options != "" {
			return usageErrorf(nil, "--userns %s: nomap has no options", value)
		}
	} else if err := keepIDs(options, &keptUID, &keptGID); err != nil {
		return usageErrorf(nil, "--userns %s: %w", value, err)
	}
	m.uids = mapsAround(keptUID, uid, otherIDs("/proc/self/uid_map", subuidFile, uid))
	m.gids = mapsAround(keptGID, gid, otherIDs("/proc/self/gid_map", subgidFile, uid))
	if len(m.uids) == 0 || len(m.gids) == 0 {
		return usageErrorf(nil, "--userns %s: the user has no other ids; %s and %s grant them", value, subuidFile, subgidFile)
	}
	o.Userns = ""
	if kind == "keep-id" && o.User == "" {
		o.User = fmt.Sprintf("%d:%d", keptUID, keptGID)
	}
	return nil
}

// keepIDs reads uid=N,gid=N.
func keepIDs(options string, uid, gid *int) error {
	if options == "" {
		return nil
	}
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || n > maxID {
			return fmt.Errorf("%q is not uid=NUMBER or gid=NUMBER", option)
		}
		switch name {
		case "uid":
			*uid = int(n)
		case "gid":
			*gid = int(n)
		default:
			return fmt.Errorf("%q is not uid=NUMBER or gid=NUMBER", option)
		}
	}
	return nil
}

// ownIDs are those of the user on the host, also where this process is root of a user namespace that was made for them.
func ownIDs() (uid, gid int) {
	if n, err := fmt.Sscanf(os.Getenv(envUserNamespace), "%d:%d", &uid, &gid); err == nil && n == 2 {
		return uid, gid
	}
	return max(os.Geteuid(), 0), max(os.Getegid(), 0)
}

// otherIDs are the ranges on the host that the user has besides the own id.
func otherIDs(mapFile, granted string, uid int) (ranges []idRange) {
	if !rootless() {
		return subordinate(granted, uid)
	}
	for _, r := range currentMap(mapFile) {
		if r.inside != 0 {
			ranges = append(ranges, idRange{int(r.outside), int(r.count)})
		}
	}
	return ranges
}

// mapsAround maps an id of the container to the own one on the host, and the ids from 0 on beside it to ranges, in the syntax of --uid-map.
// Below zero none is mapped to the own one.
func mapsAround(kept, own int, ranges []idRange) (maps []string) {
	next := 0
	add := func(host, count int) {
		maps = append(maps, fmt.Sprintf("%d:%d:%d", next, host, count))
		next += count
	}
	for _, r := range ranges {
		if below := kept - next; below >= 0 && below < r.count {
			if below > 0 {
				add(r.first, below)
			}
			add(own, 1)
			r = idRange{r.first + below, r.count - below}
		}
		if r.count > 0 {
			add(r.first, r.count)
		}
	}
	if kept >= next { // beyond what the ranges reach
		next = kept
		add(own, 1)
	}
	return maps
}
