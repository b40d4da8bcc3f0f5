package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// windows checks the section of that name (config-windows.md).
func (r *report) windows() {
	w := r.s.Windows
	if r.platform == Windows {
		r.windowsRoot()
		if w == nil {
			r.add("/windows", spec.ConfigWindows, `{"layerFolders": [...]}`, ErrMissing, "")
		}
	}
	if w == nil {
		return
	}
	if len(w.LayerFolders) == 0 || slices.Contains(w.LayerFolders, "") {
		r.add("/windows/layerFolders", spec.WindowsLayers, "the folders of the layers, the scratch last", ErrMissing, "")
	}
	for i, d := range w.Devices {
		if d.ID == "" {
			r.add(at("/windows/devices", i, "/id"), spec.WindowsDevices, "the GUID of a device interface class", ErrMissing, "")
		}
		oneOf(r, at("/windows/devices", i, "/idType"), spec.WindowsDevices, d.IDType, "class")
	}
	if c := w.CredentialSpec; c != nil {
		if _, ok := c.(map[string]any); !ok {
			r.add("/windows/credentialSpec", spec.WindowsCredentials, "an object", ErrType, "want an object")
		}
	}
	if h := w.HyperV; h != nil && h.UtilityVMPath != "" && !windowsAbsolute(h.UtilityVMPath) {
		r.add("/windows/hyperv/utilityVMPath", spec.WindowsHyperV, `such as C:\vm`, ErrInvalid, "%q is not an absolute path", h.UtilityVMPath)
	}
	r.windowsResources(w.Resources)
}

// windowsRoot checks where the root file system is: a volume, or nothing under Hyper-V.
func (r *report) windowsRoot() {
	root, hyperV := r.s.Root, r.s.Windows != nil && r.s.Windows.HyperV != nil
	switch {
	case root == nil && !hyperV:
		r.add("/root", spec.RootWindows, `{"path": "\\\\?\\Volume{GUID}\\"}`, ErrMissing, "")
	case root == nil:
	case hyperV:
		r.add("/root", spec.RootWindows, "leave it out", ErrInvalid, "not to be set with hyperv")
	default:
		if !strings.HasPrefix(root.Path, `\\?\Volume{`) || !strings.HasSuffix(strings.TrimSuffix(root.Path, `\`), "}") {
			r.add("/root/path", spec.RootWindows, `\\?\Volume{GUID}\`, ErrInvalid, "%q is no volume GUID path", root.Path)
		}
		if root.Readonly {
			r.add("/root/readonly", spec.RootWindows, "false", ErrInvalid, "true")
		}
	}
}

func (r *report) windowsResources(res *specs.WindowsResources) {
	if res == nil {
		return
	}
	if m := res.Memory; m != nil && m.Limit != nil && *m.Limit == 0 {
		r.add("/windows/resources/memory/limit", spec.WindowsResources, "bytes, more than 0", ErrInvalid, "0")
	}
	c := res.CPU
	if c == nil {
		return
	}
	const base = "/windows/resources/cpu"
	set := 0
	for _, is := range []bool{c.Count != nil, c.Shares != nil, c.Maximum != nil, len(c.Affinity) > 0} {
		if is {
			set++
		}
	}
	if set > 1 {
		r.add(base, spec.WindowsCPU, "one of count, shares, maximum and affinity", ErrInvalid, "%d that exclude each other", set)
	}
	if c.Shares != nil && *c.Shares > 10000 {
		r.add(base+"/shares", spec.WindowsCPU, "0 to 10000", ErrInvalid, "%d is out of range", *c.Shares)
	}
	if c.Maximum != nil && (*c.Maximum == 0 || *c.Maximum > 10000) {
		r.add(base+"/maximum", spec.WindowsCPU, "1 to 10000: percent times 100", ErrInvalid, "%d is out of range", *c.Maximum)
	}
	for i, a := range c.Affinity {
		if a.Mask == 0 {
			r.add(at(base+"/affinity", i, "/mask"), spec.WindowsCPU, "a CPU at least", ErrMissing, "")
		}
	}
}

// windowsAdvice tells what contradicts itself.
func (r *report) windowsAdvice() {
	if r.s.Windows == nil || r.s.Windows.Network == nil {
		return
	}
	n := r.s.Windows.Network
	if n.NetworkNamespace != "" && n.NetworkSharedContainerName != "" {
		r.add("/windows/network/networkSharedContainerName", spec.WindowsNetwork, "one of it and networkNamespace", ErrInvalid, "two networks for one container")
	}
	seen := map[string]bool{"": true}
	for i, e := range n.EndpointList {
		if seen[e] {
			r.add(at("/windows/network/endpointList", i, ""), spec.WindowsNetwork, "the id of an endpoint, once", ErrInvalid, "%q", e)
		}
		seen[e] = true
	}
}
