package tree

import "github.com/oci-pipeline/oci/unpack"

// imageXattr gives the value of an xattr as the image says it: ids in ACLs and file capabilities were mapped as
// those of owners were (acl(5), capabilities(7)). What is malformed stays.
func (o *DirOptions) imageXattr(name, value string) string {
	if o.UIDMap == nil && o.GIDMap == nil {
		return value
	}
	switch name {
	case "security.capability":
		if root, revision, ok := unpack.DecodeCapability(value); ok && revision == 3 && unpack.ImageID(o.UIDMap, root) == 0 {
			return unpack.CapabilityForAll(value)
		}
	case "system.posix_acl_access", "system.posix_acl_default":
		of := func(m []unpack.IDMap) func(uint32) (uint32, error) {
			return func(id uint32) (uint32, error) { return unpack.ImageID(m, id), nil }
		}
		if acl, err := unpack.MapACL(value, of(o.UIDMap), of(o.GIDMap)); err == nil {
			return acl
		}
	}
	return value
}
