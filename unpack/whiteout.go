package unpack

import (
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const (
	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh." // AUFS's own files
	opaqueName     = ".wh..wh..opq"
	plinkDir       = ".wh..wh.plnk" // AUFS keeps files with several names here; other entries link to them
)

// role is what an entry's name makes of it.
type role int

const (
	ordinary role = iota
	whiteout      // hides a name of lower layers
	opaque        // hides all that lower layers have in a directory
	hidden        // AUFS's own: never shown
	plink         // AUFS's own, but other entries are hardlinks to it
)

// classify tells the role of a cleaned path, and for a whiteout the name that it hides.
func classify(path string) (role, string, error) {
	first, rest, nested := strings.Cut(path, "/")
	if first == plinkDir && nested && !strings.Contains(rest, "/") {
		return plink, "", nil
	}
	dir, base := split(path)
	if under, err := insideWhiteout(dir); err != nil || under {
		return hidden, "", err
	}
	name, ok := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !ok:
		return ordinary, "", nil
	case base == opaqueName:
		return opaque, "", nil
	case strings.HasPrefix(base, metaPrefix):
		return hidden, "", nil
	case name == "", name == ".", name == "..":
		return ordinary, "", fail("apply", path, spec.LayerWhiteout, ErrWhiteout, "it names nothing that can be removed")
	}
	return whiteout, name, nil
}

// insideWhiteout tells whether a directory lies in one of AUFS's own; to lie in a whiteout is an error.
func insideWhiteout(dir string) (bool, error) {
	if !strings.Contains(dir, whiteoutPrefix) {
		return false, nil
	}
	for comp := range strings.SplitSeq(dir, "/") {
		switch {
		case strings.HasPrefix(comp, metaPrefix):
			return true, nil
		case strings.HasPrefix(comp, whiteoutPrefix):
			return false, fail("apply", dir, spec.LayerWhiteout, ErrWhiteout, "an entry lies in a whiteout")
		}
	}
	return false, nil
}

// split cuts a cleaned path at its last slash; dir is "" at the root.
func split(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
