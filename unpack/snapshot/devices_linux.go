package snapshot

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// devices gives the devices that the stack of these layers shows, by path. Layers are shared by containers that
// may have them and others that may not, so a layer has them as devices, or as empty files where this user may make none, and
// its record lists them; what becomes of them is settled for each container.
func (s *Store) devices(markers []*marker) ([]unpack.Device, error) {
	at := map[string]unpack.Device{}
	for _, m := range markers {
		if len(at) == 0 && len(m.Devices) == 0 {
			continue
		}
		linked := map[string]unpack.Device{}
		for _, l := range m.Links {
			if d, ok := at[string(l[1])]; ok {
				d.Path = string(l[0])
				linked[d.Path] = d
			}
		}
		for path := range at {
			hidden, err := merge.Hides(filepath.Join(s.layerDir(m.DiffID), filesDir), path)
			if err != nil {
				return nil, &Error{Op: "stack", Subject: m.DiffID.String(), Err: err}
			}
			if hidden || m.OpaqueRoot || m.linksOver(path) {
				delete(at, path)
			}
		}
		for _, d := range linked {
			at[d.Path] = d
		}
		for _, d := range m.Devices {
			at[string(d.Path)] = d.device()
		}
	}
	var list []unpack.Device
	for _, d := range at {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b unpack.Device) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// linksOver tells whether the layer has a hardlink to a file of a lower layer at path, or above it.
func (m *marker) linksOver(path string) bool {
	return slices.ContainsFunc(m.Links, func(l [2][]byte) bool {
		return path == string(l[0]) || strings.HasPrefix(path, string(l[0])+"/")
	})
}
