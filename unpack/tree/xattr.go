package tree

import (
	"encoding/binary"

	"github.com/oci-pipeline/oci/unpack"
)

// imageXattr gives the value of an xattr as the image says it: ids in ACLs and file capabilities were mapped as
// those of owners were (acl(5), capabilities(7)).
func (o *DirOptions) imageXattr(name, value string) string {
	if o.UIDMap == nil && o.GIDMap == nil {
		return value
	}
	switch name {
	case "security.capability":
		return unmapCapability(value, o.UIDMap)
	case "system.posix_acl_access", "system.posix_acl_default":
		return unmapACL(value, o)
	}
	return value
}

// unmapCapability turns revision 3 of a capability, if it is for the root of the map, into revision 2.
func unmapCapability(value string, uids []unpack.IDMap) string {
	const mask, rev2, rev3 = 0xff000000, 0x02000000, 0x03000000 // linux/capability.h, VFS_CAP_REVISION_*
	b := []byte(value)
	if len(b) != 24 || binary.LittleEndian.Uint32(b)&mask != rev3 || imageID(uids, binary.LittleEndian.Uint32(b[20:])) != 0 {
		return value
	}
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^uint32(mask)|rev2)
	return string(b[:20])
}

// unmapACL gives the ids of an ACL as the image says them: linux/posix_acl_xattr.h, a version and entries of tag, permissions, id.
func unmapACL(value string, o *DirOptions) string {
	b := []byte(value)
	for at := 4; at+8 <= len(b); at += 8 {
		id := binary.LittleEndian.Uint32(b[at+4:])
		switch binary.LittleEndian.Uint16(b[at:]) {
		case 0x02: // ACL_USER
			binary.LittleEndian.PutUint32(b[at+4:], imageID(o.UIDMap, id))
		case 0x08: // ACL_GROUP
			binary.LittleEndian.PutUint32(b[at+4:], imageID(o.GIDMap, id))
		}
	}
	return string(b)
}
