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

// translateCapability gives a file capability for the user namespace that the id map describes: the
// kernel ignores one that belongs to another namespace, and one of revision 2 would also count on the
// host. skip says why there is none.
func (w *owners) translateCapability(value string) (_, skip string) {
	mapped := w.uids != nil
	if !mapped && !w.single {
		return value, ""
	}
	b := []byte(value)
	if len(b) < 4 {
		return "", "it is malformed"
	}
	magic, root := binary.LittleEndian.Uint32(b), uint32(0)
	switch {
	case len(b) == capSize2 && magic&capMask == capRev2:
	case len(b) == capSize3 && magic&capMask == capRev3:
		root = binary.LittleEndian.Uint32(b[capSize2:])
	default:
		return "", "it has a revision that Linux does not write"
	}
	if !mapped {
		if root != 0 {
			return "", "it belongs to the root of another user namespace"
		}
		return value, "" // the kernel makes it one of this process's namespace
	}
	id, err := mapID(w.uids, root, "uid")
	if err != nil {
		return "", "the id map has not the root of its user namespace"
	}
	if id == 0 {
		return value, ""
	}
	out := binary.LittleEndian.AppendUint32(nil, magic&^capMask|capRev3)
	out = append(out, b[4:capSize2]...)
	return string(binary.LittleEndian.AppendUint32(out, uint32(id))), ""
}
