package unpack

import "encoding/binary"

// File capabilities, as the xattr security.capability has them (include/uapi/linux/capability.h,
// struct vfs_ns_cap_data): revision 2 counts in the initial user namespace, revision 3 in the one whose
// root has the id that follows the sets (user_namespaces(7), Linux 4.14).
const (
	capMask  = 0xff000000
	capRev2  = 0x02000000
	capRev3  = 0x03000000
	capSize2 = 20
	capSize3 = 24
)

// DecodeCapability tells which user namespace the xattr security.capability is for: root is the id of its root
// user, 0 with revision 2. ok is false for what Linux does not write.
func DecodeCapability(value string) (root uint32, revision int, ok bool) {
	b := []byte(value)
	if len(b) < 4 {
		return 0, 0, false
	}
	switch magic := binary.LittleEndian.Uint32(b) & capMask; {
	case len(b) == capSize2 && magic == capRev2:
		return 0, 2, true
	case len(b) == capSize3 && magic == capRev3:
		return binary.LittleEndian.Uint32(b[capSize2:]), 3, true
	}
	return 0, 0, false
}

// CapabilityFor gives a capability of either revision for the user namespace whose root has an id: revision 3.
func CapabilityFor(value string, root uint32) string {
	return string(binary.LittleEndian.AppendUint32(capability(value, capRev3), root))
}

// CapabilityForAll gives a capability of either revision for all user namespaces: revision 2.
func CapabilityForAll(value string) string { return string(capability(value, capRev2)) }

// capability gives the sets of a capability, with a revision before.
func capability(value string, revision uint32) []byte {
	b := []byte(value)
	return append(binary.LittleEndian.AppendUint32(nil, binary.LittleEndian.Uint32(b)&^capMask|revision), b[4:capSize2]...)
}

// translateCapability gives a file capability for the user namespace that the id map describes: the
// kernel ignores one that belongs to another namespace, and one of revision 2 would also count on the
// host. skip says why there is none.
func (w *owners) translateCapability(value string) (_, skip string) {
	mapped := w.uids != nil
	if !mapped && !w.single {
		return value, ""
	}
	if len(value) < 4 {
		return "", "it is malformed"
	}
	root, _, ok := DecodeCapability(value)
	if !ok {
		return "", "it has a revision that Linux does not write"
	}
	if !mapped {
		if root != 0 {
			return "", "it belongs to the root of another user namespace"
		}
		return value, "" // the kernel makes it one of this process's namespace
	}
	id, ok := DiskID(w.uids, root)
	switch {
	case !ok:
		return "", "the id map has not the root of its user namespace"
	case id == 0:
		return value, ""
	}
	return CapabilityFor(value, id), ""
}
