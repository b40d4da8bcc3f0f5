package unpack

import (
	"fmt"
	"os"

	"github.com/oci-pipeline/oci/conformance/spec"
)

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

// mapID looks an id up. The zero map changes nothing.
func mapID(m []IDMap, id uint32, what string) (int, error) {
	if m == nil {
		return int(id), nil
	}
	for _, r := range m {
		if id >= r.ContainerID && uint64(id) < uint64(r.ContainerID)+uint64(r.Size) {
			host := uint64(r.HostID) + uint64(id-r.ContainerID)
			if host >= 1<<32-1 {
				break
			}
			return int(host), nil
		}
	}
	return 0, fmt.Errorf("%w: %s %d is in no range of the id map; widen the map, or squash owners to a single id", ErrOwner, what, id)
}

// ownerError explains why chown failed.
func ownerError(path string, uid, gid uint32, err error) error {
	return fail("apply", path, spec.LayerAttributes, ErrOwner,
		"uid %d gid %d: %w; give this user ranges in /etc/subuid and /etc/subgid that reach these ids, or squash owners to a single id",
		uid, gid, err)
}
