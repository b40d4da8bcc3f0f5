package verify

import (
	"slices"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// deviceLeftOut is unpack's word for devices that were not made.
const deviceLeftOut = "device"

// Explain takes from a change between an image and a directory that was unpacked of it what the unpacking left, since this
// machine or this user could not have it. It gives the rest, and whether there is one.
func (h How) Explain(c tree.Change) (rest tree.Change, changed bool) {
	if h.notMade(c) {
		return c, false
	}
	if c.Kind != tree.Changed {
		return c, true
	}
	what := make([]string, 0, len(c.What))
	for _, w := range c.What {
		if !h.notHeld(c.Old.Kind, w) {
			what = append(what, w)
		}
	}
	c.What = what
	return c, len(what) > 0
}

// notMade tells whether a change is a device that the unpacking could not make, or made an empty file for.
func (h How) notMade(c tree.Change) bool {
	if c.Old == nil || c.Old.Kind != unpack.CharDevice && c.Old.Kind != unpack.BlockDevice || !slices.Contains(h.LeftOut, deviceLeftOut) {
		return false
	}
	return c.Kind == tree.Removed || c.New.Kind == unpack.Regular && c.New.Size == 0
}

// KeepsOwner tells whether a file of a kind has the owner that the image says, be it in an xattr (xattr(7)).
func (h How) KeepsOwner(kind unpack.Kind) bool {
	return !h.SingleID || kind == unpack.Regular || kind == unpack.Directory
}

// notHeld tells whether a difference is one that the unpacking left: an xattr that the file system does not take, or the
// owner of what cannot keep it.
func (h How) notHeld(kind unpack.Kind, what string) bool {
	if strings.HasPrefix(what, "owner ") {
		return !h.KeepsOwner(kind)
	}
	name, ok := strings.CutPrefix(what, "xattr ")
	name, removed := strings.CutSuffix(name, " removed")
	if !ok || !removed {
		return false
	}
	name, err := strconv.Unquote(name)
	return err == nil && slices.ContainsFunc(h.LeftOut, func(left string) bool {
		xattr, ok := strings.CutPrefix(left, "xattr ")
		return ok && (name == xattr || strings.HasSuffix(xattr, ".") && strings.HasPrefix(name, xattr))
	})
}
