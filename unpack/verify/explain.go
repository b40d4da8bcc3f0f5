package verify

import (
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
