package unpack

import (
	"math"
	"os"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// maxRanges is how many ranges a user namespace takes (user_namespaces(7)).
const maxRanges = 340

// owners turns the ids of an image into those to give to chown.
type owners struct {
	uids, gids []IDMap
	single     bool
	uid, gid   int // of this process: what it makes belongs to them unless changed
}

func newOwners(o *Options) owners {
	return owners{uids: o.UIDMap, gids: o.GIDMap, single: o.SingleID, uid: os.Geteuid(), gid: os.Getegid()}
}

// of gives the ids on disk for those of the image.
func (w *owners) of(uid, gid uint32) (int, int, error) {
	if w.single {
		return w.uid, w.gid, nil
	}
	u, err := mapID(w.uids, uid, "uid")
	if err != nil {
		return 0, 0, err
	}
	g, err := mapID(w.gids, gid, "gid")
	if err != nil {
		return 0, 0, err
	}
	return u, g, nil
}

// kept is the value of OwnerXattr for a file of the image, "" if it needs none.
func (w *owners) kept(uid, gid uint32) string {
	if !w.single {
		return ""
	}
	return EncodeOwner(uid, gid)
}

// DiskID gives the id on disk for one of the image; false if no range has it. The nil map changes nothing.
func DiskID(m []IDMap, id uint32) (uint32, bool) {
	for _, r := range m {
		if id >= r.ContainerID && id-r.ContainerID < r.Size {
			return r.HostID + (id - r.ContainerID), true // checkMaps: it does not overflow
		}
	}
	return id, m == nil
}

// ImageID gives the id of the image for one on disk; one that no range has stays.
func ImageID(m []IDMap, id uint32) uint32 {
	for _, r := range m {
		if id >= r.HostID && id-r.HostID < r.Size {
			return r.ContainerID + (id - r.HostID)
		}
	}
	return id
}

// mapID is DiskID with an error that says what to do.
func mapID(m []IDMap, id uint32, what string) (int, error) {
	disk, ok := DiskID(m, id)
	if !ok {
		return 0, &OwnerError{Kind: what, ID: id, Disk: id, Map: m}
	}
	return int(disk), nil
}

// checkMaps refuses maps that no user namespace could have, and what contradicts itself.
func (o *Options) checkMaps() error {
	if o.SingleID && (o.UIDMap != nil || o.GIDMap != nil) {
		return fail("map ids", "", spec.Clause{}, ErrIDMap, "a single id and a map exclude each other")
	}
	for _, m := range []struct {
		what string
		list []IDMap
	}{{"uid", o.UIDMap}, {"gid", o.GIDMap}} {
		if err := checkMap(m.what, m.list); err != nil {
			return err
		}
	}
	return nil
}

// checkMap refuses empty, overflowing and overlapping ranges, on either side: two ids of the image that
// become one on disk could not be told apart, and one that becomes two is none.
func checkMap(what string, list []IDMap) error {
	if len(list) > maxRanges {
		return fail("map ids", "", spec.Clause{}, ErrIDMap, "%d ranges of %ss, more than %d", len(list), what, maxRanges)
	}
	for i, r := range list {
		const end = uint64(math.MaxUint32) // the id 2^32-1 is none
		if r.Size == 0 || uint64(r.ContainerID)+uint64(r.Size) > end || uint64(r.HostID)+uint64(r.Size) > end {
			return fail("map ids", "", spec.Clause{}, ErrIDMap, "the %s range %s has no ids, or some above %d", what, formatMap(list[i:i+1]), end-1)
		}
		for _, other := range list[:i] {
			if overlap(r.ContainerID, r.Size, other.ContainerID, other.Size) || overlap(r.HostID, r.Size, other.HostID, other.Size) {
				return fail("map ids", "", spec.Clause{}, ErrIDMap, "the %s ranges %s and %s overlap", what,
					formatMap([]IDMap{other}), formatMap([]IDMap{r}))
			}
		}
	}
	return nil
}

// overlap tells whether two ranges have an id in common.
func overlap(a, sizeA, b, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}
