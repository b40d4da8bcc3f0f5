package verify

import (
	"slices"

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
		before := len(c.What)
		c, changed := v.o.How.Explain(c)
		if !changed || len(c.What) < before {
			v.report.LeftOut++
		}
		if !changed {
			continue
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
		if tree.Within(c.Path, m) {
			return true
		}
	}
	return slices.ContainsFunc(v.report.Unread, func(u Unread) bool { return tree.Within(c.Path, u.Path) })
}
