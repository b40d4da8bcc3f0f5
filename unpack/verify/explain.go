package verify

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// explain drops what is no change: ignored paths, what lies below mounts and unreadable directories, what this machine
// could not represent, and what no layer says.
func (v *verifier) explain(changes []tree.Change) []tree.Change {
	rest := changes[:0]
	for _, c := range changes {
		if v.skip(c.Path) || v.unseen(c) || c.Path == "" && v.rootIgnored {
			continue
		}
		if v.notMade(c) {
			v.report.LeftOut++
			continue
		}
		if c.Kind == tree.Changed {
			before := len(c.What)
			c.What = slices.DeleteFunc(c.What, func(what string) bool { return v.notHeld(c.Old.Kind, what) })
			if len(c.What) < before {
				v.report.LeftOut++
			}
			if len(c.What) == 0 {
				continue
			}
		}
		rest = append(rest, c)
	}
	return rest
}

// unseen tells whether a path is missing only because it was not looked at, or has attributes that nothing describes.
func (v *verifier) unseen(c tree.Change) bool {
	if c.Kind == tree.Changed {
		if v.o.Foreign && c.Old.Implicit && c.New.Kind == unpack.Directory {
			return true
		}
		return false
	}
	if c.Kind != tree.Removed {
		return false
	}
	for _, m := range v.report.Mounts {
		if within(c.Path, m) {
			return true
		}
	}
	return slices.ContainsFunc(v.report.Unread, func(u Unread) bool { return within(c.Path, u.Path) })
}

// notMade tells whether a change is a device that the unpacking could not make, or made an empty file for.
func (v *verifier) notMade(c tree.Change) bool {
	if c.Old == nil || c.Old.Kind != unpack.CharDevice && c.Old.Kind != unpack.BlockDevice || !slices.Contains(v.o.How.LeftOut, deviceLeftOut) {
		return false
	}
	return c.Kind == tree.Removed || c.New.Kind == unpack.Regular && c.New.Size == 0
}

// notHeld tells whether a difference is one that the unpacking left: an xattr that the file system does not take, or the
// owner of what has no xattr to keep it (xattr(7)).
func (v *verifier) notHeld(kind unpack.Kind, what string) bool {
	if v.o.How.SingleID && kind != unpack.Regular && kind != unpack.Directory && strings.HasPrefix(what, "owner ") {
		return true
	}
	name, ok := strings.CutSuffix(what, " removed")
	return ok && slices.ContainsFunc(v.o.How.LeftOut, func(left string) bool {
		xattr, ok := strings.CutPrefix(left, "xattr ")
		return ok && name == "xattr "+strconv.Quote(xattr)
	})
}

// deviceLeftOut is unpack's word for devices that were not made.
const deviceLeftOut = "device"

// unmapXattrs gives the ACLs and file capabilities of the tree on disk as the image would say them: their ids were mapped
// as those of owners (acl(5), capabilities(7)).
func (v *verifier) unmapXattrs() {
	how := v.o.How
	if how.UIDMap == nil && how.GIDMap == nil {
		return
	}
	seen := map[*tree.Node]bool{}
	_ = v.got.Walk(func(_ string, n *tree.Node) error { // the function gives no error
		if seen[n] {
			return nil
		}
		seen[n] = n.Names > 1
		for i, x := range n.Xattrs {
			switch x.Name {
			case "security.capability":
				n.Xattrs[i].Value = unmapCapability(x.Value, how.UIDMap)
			case "system.posix_acl_access", "system.posix_acl_default":
				n.Xattrs[i].Value = unmapACL(x.Value, how)
			}
		}
		return nil
	})
}

// unmapCapability turns revision 3 of a capability, if it is for the root of the map, into revision 2.
func unmapCapability(value string, uids []unpack.IDMap) string {
	const mask, rev2, rev3 = 0xff000000, 0x02000000, 0x03000000 // linux/capability.h, VFS_CAP_REVISION_*
	b := []byte(value)
	if len(b) != 24 || binary.LittleEndian.Uint32(b)&mask != rev3 || unmapID(uids, binary.LittleEndian.Uint32(b[20:])) != 0 {
		return value
	}
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^uint32(mask)|rev2)
	return string(b[:20])
}

// unmapACL gives the ids of an ACL as the image says them: linux/posix_acl_xattr.h, a version and entries of tag, permissions, id.
func unmapACL(value string, how How) string {
	b := []byte(value)
	for at := 4; at+8 <= len(b); at += 8 {
		id := binary.LittleEndian.Uint32(b[at+4:])
		switch binary.LittleEndian.Uint16(b[at:]) {
		case 0x02: // ACL_USER
			binary.LittleEndian.PutUint32(b[at+4:], unmapID(how.UIDMap, id))
		case 0x08: // ACL_GROUP
			binary.LittleEndian.PutUint32(b[at+4:], unmapID(how.GIDMap, id))
		}
	}
	return string(b)
}

// unmapID gives the id of the image for one on disk; one that no range has stays.
func unmapID(m []unpack.IDMap, id uint32) uint32 {
	for _, r := range m {
		if id >= r.HostID && uint64(id) < uint64(r.HostID)+uint64(r.Size) {
			return r.ContainerID + (id - r.HostID)
		}
	}
	return id
}
