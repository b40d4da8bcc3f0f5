package main

import (
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// overflowID is whose a file is shown to be that has an id which a map does not have: the default of
// /proc/sys/fs/overflowuid and overflowgid.
const overflowID = 65534

// usersLack is what a user who is not root cannot unpack, as verify.How has it.
func usersLack() []string { return []string{"device", "xattr trusted."} }

func isOwner(what string) bool { return strings.HasPrefix(what, "owner ") }

// ownerHeld tells whether the owner that the directory shows is the file's own. It is not where nothing can keep it, nor
// where layers are mounted with maps that lack it: then nobody in the container can have given the file another one.
func (r *changedRoot) ownerHeld(c tree.Change) bool {
	if c.Old.Kind != c.New.Kind {
		return true
	}
	if !r.how.KeepsOwner(c.Old.Kind) {
		return false
	}
	if !r.mapped {
		return true
	}
	lost := func(maps []unpack.IDMap, old, now uint32) bool {
		_, held := unpack.DiskID(maps, old)
		return !held && now == unpack.ImageID(maps, overflowID)
	}
	uid, gid := lost(r.how.UIDMap, c.Old.UID, c.New.UID), lost(r.how.GIDMap, c.Old.GID, c.New.GID)
	return !uid && !gid
}
