package cdi

import (
	"cmp"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// deviceInfo is what the host says about a device node.
type deviceInfo struct {
	kind         string // b, c or p
	major, minor int64
	mode         os.FileMode
}

// hostNode completes a node from the host. One whose type and number the file has need not be there.
func hostNode(n cdispec.DeviceNode) (specs.LinuxDevice, error) {
	d := specs.LinuxDevice{Path: n.Path, Type: n.Type, Major: n.Major, Minor: n.Minor, FileMode: n.FileMode, UID: n.UID, GID: n.GID}
	whole := n.Type != "" && (n.Major != 0 || n.Type == "p")
	host, err := statDevice(cmp.Or(n.HostPath, n.Path))
	switch {
	case err != nil && whole:
		return d, nil
	case err != nil:
		return d, err
	}
	if d.FileMode == nil {
		d.FileMode = &host.mode
	}
	if whole {
		return d, nil
	}
	if d.Type != "" && d.Type != host.kind {
		return d, fmt.Errorf("%w: the CDI file says type %s, the host %s", bundle.ErrInvalid, d.Type, host.kind)
	}
	d.Type = host.kind
	if d.Type != "p" && d.Major == 0 {
		d.Major, d.Minor = host.major, host.minor
	}
	return d, nil
}
