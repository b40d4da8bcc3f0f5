package unpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

// OwnerXattr is the xattr in which files of a single id keep the owner that the image says: umoci,
// runrootless and PRoot read and write it too. Its value is the message Resource of
// https://github.com/rootless-containers/proto/blob/master/rootlesscontainers.proto: protocol
// buffers with uint32 uid = 1 and uint32 gid = 2. Only regular files and directories can have it: the
// kernel allows user.* xattrs on nothing else (xattr(7)).
const OwnerXattr = "user.rootlesscontainers"

// noID stands in the xattr for an id that is as it would be without the xattr: 0.
const noID = math.MaxUint32

// EncodeOwner gives the value of [OwnerXattr] for an owner, byte for byte as umoci writes it; "" for
// 0:0, which needs none.
func EncodeOwner(uid, gid uint32) string {
	if uid == 0 && gid == 0 {
		return ""
	}
	var b []byte
	for field, id := range []uint32{uid, gid} {
		if id == 0 {
			id = noID
		}
		b = append(b, byte(field+1)<<3) // wire type 0: a varint
		b = binary.AppendUvarint(b, uint64(id))
	}
	return string(b)
}

// DecodeOwner reads a value of [OwnerXattr]. A field that is absent is 0, as is the id that stands for
// none (2^32-1); fields that are not known are passed over, as protocol buffers ask. What is no such message,
// or holds an id of more than 32 bits, is an error.
func DecodeOwner(value string) (uid, gid uint32, err error) {
	ids, b := [3]uint32{}, []byte(value)
	for len(b) > 0 {
		key, rest, err := varint(b)
		if err != nil {
			return 0, 0, err
		}
		b = rest
		switch key & 7 {
		case 0:
			var v uint64
			if v, b, err = varint(b); err != nil {
				return 0, 0, err
			}
			if field := key >> 3; field == 1 || field == 2 {
				if v > math.MaxUint32 {
					return 0, 0, fmt.Errorf("%s: id %d is out of range", OwnerXattr, v)
				}
				ids[field] = uint32(v)
			}
		case 2:
			n, rest, err := varint(b)
			if err != nil || n > uint64(len(rest)) {
				return 0, 0, errOwnerXattr
			}
			b = rest[n:]
		case 1, 5:
			n := map[uint64]int{1: 8, 5: 4}[key&7]
			if len(b) < n {
				return 0, 0, errOwnerXattr
			}
			b = b[n:]
		default:
			return 0, 0, errOwnerXattr
		}
	}
	for i := range ids {
		if ids[i] == noID {
			ids[i] = 0
		}
	}
	return ids[1], ids[2], nil
}

var errOwnerXattr = errors.New(OwnerXattr + " is no message of rootlesscontainers.proto")

func varint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errOwnerXattr
	}
	return v, b[n:], nil
}

// OwnerError says why a file cannot be given the owner that its entry names. errors.Is finds [ErrOwner]
// in it, and what the kernel said.
type OwnerError struct {
	Kind string // "uid" or "gid"
	ID   uint32 // as the image says it
	Disk uint32 // what it would be on disk, by Options.UIDMap or GIDMap; ID without
	// Map is the map that lacks the id: that of the options or, with Userns, that of this process's user
	// namespace (ContainerID is an id inside, HostID one outside). Nil if the map is not the reason.
	Map    []IDMap
	Userns bool
	Err    error // what the kernel said; nil if it was not asked
}

// Error names the id, the map that it is not in, and what to do.
func (e *OwnerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s %d", ErrOwner, e.Kind, e.ID)
	if e.Disk != e.ID {
		fmt.Fprintf(&b, " (on disk %d)", e.Disk)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	file := "/etc/sub" + e.Kind
	switch {
	case e.Map == nil:
		b.WriteString(": this process may give files to nobody else; run it as root, or squash owners to a single id")
	case e.Userns:
		fmt.Fprintf(&b, ": the user namespace has the %ss %s only; give its user a range in %s that reaches this id, or squash owners to a single id",
			e.Kind, formatMap(e.Map), file)
	default:
		fmt.Fprintf(&b, ": the %s map is %s; add a range that has this id, or squash owners to a single id", e.Kind, formatMap(e.Map))
	}
	return b.String()
}

// Unwrap gives ErrOwner and the kernel's error.
func (e *OwnerError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrOwner}
	}
	return []error{ErrOwner, e.Err}
}

// formatMap writes a map as flags have it: container:host:size.
func formatMap(m []IDMap) string {
	const most = 8 // a map may have 340 ranges
	var parts []string
	for i, r := range m {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more ranges", len(m)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%d:%d:%d", r.ContainerID, r.HostID, r.Size))
	}
	if parts == nil {
		return "(none)"
	}
	return strings.Join(parts, " ")
}

// ownerError explains why chown failed. uid and gid are the image's, diskUID and diskGID what chown was
// asked for. The kernel answers EINVAL to an id that the user namespace does not have, and EPERM to who may not give
// files away; which of the two ids it was it does not say.
func ownerError(uid, gid uint32, diskUID, diskGID int, err error) error {
	for _, id := range []struct {
		kind   string
		id     uint32
		onDisk int
	}{{"uid", uid, diskUID}, {"gid", gid, diskGID}} {
		m, merr := namespaceMap(id.kind)
		if merr != nil {
			continue
		}
		if _, ok := DiskID(m, uint32(id.onDisk)); !ok {
			return &OwnerError{Kind: id.kind, ID: id.id, Disk: uint32(id.onDisk), Map: m, Userns: true, Err: err}
		}
	}
	if diskUID == os.Geteuid() {
		return &OwnerError{Kind: "gid", ID: gid, Disk: uint32(diskGID), Err: err}
	}
	return &OwnerError{Kind: "uid", ID: uid, Disk: uint32(diskUID), Err: err}
}

// namespaceMap reads a map of this process's user namespace.
func namespaceMap(kind string) ([]IDMap, error) {
	raw, err := os.ReadFile("/proc/self/" + kind + "_map")
	if err != nil {
		return nil, err
	}
	m := []IDMap{}
	for line := range strings.Lines(string(raw)) {
		var r IDMap
		if _, err := fmt.Sscan(line, &r.ContainerID, &r.HostID, &r.Size); err != nil {
			return nil, err
		}
		m = append(m, r)
	}
	return m, nil
}
