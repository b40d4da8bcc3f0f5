package unpack

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/vbatts/tar-split/archive/tar"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// kind is the type of a file that an entry makes.
type kind int

const (
	skipped kind = iota // makes nothing
	regular
	directory
	symlink
	hardlink
	charDevice
	blockDevice
	fifo
)

// entry is one member of a layer's tar, decoded and checked: its path is clean, its numbers are in
// range. It does not depend on the platform.
type entry struct {
	kind   kind
	path   string // cleaned, relative, no "..": "" for the root itself
	link   string // symlink: verbatim; hardlink: cleaned like path
	size   int64  // logical size of a regular file
	sparse bool
	mode   uint32 // permission bits and setuid, setgid, sticky
	uid    uint32
	gid    uint32
	mtime  time.Time
	major  uint32
	minor  uint32
	xattrs []xattr
	note   string   // why it is skipped
	odd    []string // what of the entry is left out, and why
}

// decodeEntry checks a header. Errors lack the layer, which the caller adds.
func decodeEntry(h *tar.Header, limits *Limits) (*entry, error) {
	e := &entry{kind: kindOf(h.Typeflag), mode: uint32(h.Mode & 0o7777), mtime: h.ModTime, size: h.Size}
	if e.kind == skipped {
		if h.Typeflag != tar.TypeXGlobalHeader {
			e.note = fmt.Sprintf("entries of tar type %q make no file", h.Typeflag)
		}
		return e, nil
	}
	var err error
	if e.path, err = cleanPath(h.Name, limits); err != nil {
		return nil, err
	}
	if e.path == "" && e.kind != directory {
		return nil, fail("apply", h.Name, spec.LayerTar, ErrUnsafePath, "only a directory may stand for the root")
	}
	if e.uid, err = checkID("uid", h.Uid, h.Name); err != nil {
		return nil, err
	}
	if e.gid, err = checkID("gid", h.Gid, h.Name); err != nil {
		return nil, err
	}
	if e.xattrs, e.odd, err = decodeXattrs(h.PAXRecords, e.kind == directory); err != nil {
		return nil, err
	}
	if err := checkXattrs(e, h.Name, limits); err != nil {
		return nil, err
	}
	return e, decodeKind(e, h, limits)
}

// decodeKind checks what only some types have.
func decodeKind(e *entry, h *tar.Header, limits *Limits) (err error) {
	switch e.kind {
	case regular:
		e.sparse = isSparse(h)
		if e.size > limits.FileBytes {
			return overrun(h.Name, spec.LayerTar, "file", limits.FileBytes, e.size, "the file is larger")
		}
	case symlink:
		if h.Linkname == "" || strings.ContainsRune(h.Linkname, 0) {
			return fail("apply", h.Name, spec.LayerTar, ErrTar, "symbolic link with an invalid target")
		}
		e.link = h.Linkname
	case hardlink:
		if e.link, err = cleanPath(h.Linkname, limits); errors.Is(err, ErrLimit) {
			return err
		} else if err != nil {
			return fail("apply", h.Name, spec.LayerHardlink, ErrUnsafePath, "hardlink to %q", h.Linkname)
		}
		if e.link == "" {
			return fail("apply", h.Name, spec.LayerHardlink, ErrLink, "hardlink to the root")
		}
	case charDevice, blockDevice:
		// What the kernel can hold: 12 bits of major and 20 of minor number.
		if h.Devmajor < 0 || h.Devmajor >= 1<<12 || h.Devminor < 0 || h.Devminor >= 1<<20 {
			return fail("apply", h.Name, spec.LayerTar, ErrTar, "device number %d:%d", h.Devmajor, h.Devminor)
		}
		e.major, e.minor = uint32(h.Devmajor), uint32(h.Devminor)
	}
	if e.kind != regular {
		e.size = 0
	}
	return nil
}

// kindOf maps a type flag. POSIX wants unknown types taken as regular files; the letters are
// vendors' and describe no file (GNU volume header, multi-volume continuation, old long names).
func kindOf(flag byte) kind {
	switch flag {
	case tar.TypeLink:
		return hardlink
	case tar.TypeSymlink:
		return symlink
	case tar.TypeChar:
		return charDevice
	case tar.TypeBlock:
		return blockDevice
	case tar.TypeDir, 'D': // D: GNU directory with a listing as its content
		return directory
	case tar.TypeFifo:
		return fifo
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse, '8', '9':
		return regular
	}
	return skipped
}

// isSparse tells whether the content in the tar is not the content of the file.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// checkID refuses what is no user or group id: (uint32)-1 means "unchanged" to chown, and larger
// or negative numbers would wrap around, perhaps to root (CVE-2024-40635).
func checkID(what string, id int, name string) (uint32, error) {
	if int64(id) < 0 || int64(id) >= math.MaxUint32 {
		return 0, fail("apply", name, spec.LayerAttributes, ErrTar, "%s %d is out of range", what, id)
	}
	return uint32(id), nil
}

func checkXattrs(e *entry, name string, limits *Limits) error {
	var sum int64
	for _, x := range e.xattrs {
		sum += int64(len(x.value))
	}
	if sum > limits.XattrBytes {
		return overrun(name, spec.LayerAttributes, "xattr", limits.XattrBytes, sum, "the entry has more bytes of xattrs")
	}
	return nil
}

// cleanPath makes a name relative to the root and drops empty and "." components; "" is the root.
// ".." is refused as GNU tar does: what "a/../b" means depends on whether a is a symbolic link.
func cleanPath(name string, limits *Limits) (string, error) {
	switch {
	case name == "":
		return "", fail("apply", name, spec.LayerTar, ErrUnsafePath, "the name is empty")
	case int64(len(name)) > limits.NameBytes:
		return "", overrun(name[:min(64, len(name))], spec.LayerTar, "name", limits.NameBytes, int64(len(name)), "the name that begins so is longer")
	case strings.IndexByte(name, 0) >= 0:
		return "", fail("apply", name, spec.LayerTar, ErrUnsafePath, "the name has a NUL byte")
	}
	if isClean(name) {
		return name, checkDepth(name, strings.Count(name, "/")+1, limits)
	}
	var comps []string
	for comp := range strings.SplitSeq(name, "/") {
		switch comp {
		case "", ".":
		case "..":
			return "", fail("apply", name, spec.LayerTar, ErrUnsafePath, "the name has a .. component")
		default:
			comps = append(comps, comp)
		}
	}
	return strings.Join(comps, "/"), checkDepth(name, len(comps), limits)
}

func checkDepth(name string, depth int, limits *Limits) error {
	if int64(depth) > limits.Depth {
		return overrun(name, spec.LayerTar, "depth", limits.Depth, int64(depth), "the name has more components")
	}
	return nil
}

// isClean tells, without allocating, that cleanPath has nothing to change.
func isClean(name string) bool {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		switch name[start:i] {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}
