//go:build linux

package plan

import (
	"fmt"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// GivenMount is a mount that the creator made, attached nowhere.
type GivenMount struct {
	FD   int      // its number in the container's process
	Kind FileKind // what its root is
}

// OutsideMount is a mount that only the creator can make: its ids are mapped, which takes rights over the file
// system that the container's process may have given up; or files are copied into it, which a list of system calls cannot do.
type OutsideMount struct {
	Index  int
	IDMap  bool // show the source with the ids of UIDs and GIDs, or of the user namespace at Userns
	Whole  bool // the map is for the mounts below the source too (ridmap)
	Tree   bool // the mounts below the source are part of it (rbind)
	CopyUp bool // a tmpfs that begins with what the root file system has at the destination
	// UIDs and GIDs map ids of the source to ids of the creator's user namespace.
	UIDs, GIDs []specs.LinuxIDMapping
	Userns     string   // path of a user namespace that has the maps
	Attributes uint64   // MOUNT_ATTR_* of a tmpfs
	Data       []string // options of a tmpfs, key or key=value
}

func (m OutsideMount) any() bool { return m.IDMap || m.CopyUp }

// NeedsOutside lists what the creator has to make before Compile; its errors are of type *Error.
func NeedsOutside(s *specs.Spec) ([]OutsideMount, error) {
	var list []OutsideMount
	for i := range s.Mounts {
		m, err := outside(s, i)
		if err != nil {
			return nil, err
		}
		if m.any() {
			list = append(list, m)
		}
	}
	return list, nil
}

func (c *compiler) outside(i int) (OutsideMount, error) { return outside(c.Spec, i) }

func outside(s *specs.Spec, i int) (OutsideMount, error) {
	m, pointer := &s.Mounts[i], "/mounts/"+strconv.Itoa(i)
	o := parseMountOptions(m.Options)
	isBind := o.bind || m.Type == "bind"
	out := OutsideMount{Index: i, IDMap: o.idmap || len(m.UIDMappings)+len(m.GIDMappings) > 0, Whole: o.ridmap, Tree: o.recursive}
	switch {
	case out.IDMap && !isBind:
		return out, unsupported(pointer+"/options", "an id map of a mount that is no bind mount")
	case out.IDMap:
		return out, out.maps(s, m, pointer)
	case !o.copyUp:
		return out, nil
	case m.Type != "tmpfs" || isBind:
		return out, invalid(pointer+"/options", "tmpcopyup is an option of a tmpfs")
	}
	out.CopyUp, out.Attributes = true, o.set
	out.Data = append(slices.Clone(o.superblock), o.data...)
	return out, nil
}

// maps settles the maps of a mount: its own, else those of the container's user namespace.
func (m *OutsideMount) maps(s *specs.Spec, mount *specs.Mount, pointer string) error {
	m.UIDs, m.GIDs = mount.UIDMappings, mount.GIDMappings
	if (len(m.UIDs) == 0) != (len(m.GIDs) == 0) {
		return &Error{Pointer: pointer, Clause: spec.MountIDMappings, Err: fmt.Errorf("%w: uidMappings and gidMappings are wanted together", ErrInvalid)}
	}
	if len(m.UIDs) > 0 || s.Linux == nil {
		return m.mapped(pointer)
	}
	for _, n := range s.Linux.Namespaces {
		if namespaceFlag(n.Type) == unix.CLONE_NEWUSER {
			if m.Userns = n.Path; m.Userns == "" {
				m.UIDs, m.GIDs = s.Linux.UIDMappings, s.Linux.GIDMappings
			}
		}
	}
	return m.mapped(pointer)
}

func (m *OutsideMount) mapped(pointer string) error {
	if len(m.UIDs) == 0 && m.Userns == "" {
		return &Error{
			Pointer: pointer + "/options", Clause: spec.MountIDMap,
			Err: fmt.Errorf("%w: idmap without mappings, in a container without a user namespace of its own", ErrInvalid),
		}
	}
	return nil
}
