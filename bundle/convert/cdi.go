package convert

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/bundle/cdi"
)

// cdiRequest is a device that the Container Device Interface describes, as a flag asks for it.
type cdiRequest struct {
	flag, value string
	name        cdi.Name
}

// isCDI tells a name of the Container Device Interface from a path of the host.
func isCDI(device string) bool { return !path.IsAbs(device) && strings.Contains(device, "=") }

// cdiRequests lists what --device and --gpus ask for.
func (o *Options) cdiRequests() ([]cdiRequest, error) {
	var list []cdiRequest
	for _, value := range o.Devices {
		if !isCDI(value) {
			continue
		}
		name, err := cdi.ParseName(value)
		if err != nil {
			return nil, &UsageError{Flag: "--device", Value: value, Err: err}
		}
		list = append(list, cdiRequest{"--device", value, name})
	}
	for _, value := range o.GPUs {
		gpus, err := parseGPUs(value)
		if err != nil {
			return nil, err
		}
		for _, gpu := range gpus {
			list = append(list, cdiRequest{"--gpus", value, cdi.Name{Kind: gpuKind, Device: gpu}})
		}
	}
	return list, nil
}

// refuse says which flag asked for what cannot be found.
func (r cdiRequest) refuse(err error) error {
	if r.flag == "--gpus" && errors.Is(err, cdi.ErrNoDevice) {
		err = fmt.Errorf("%w; nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml describes the GPUs of NVIDIA", err)
	}
	return &UsageError{Flag: r.flag, Value: r.value, Err: err}
}

// cdi makes the changes that the files of the devices ask for.
func (c *conversion) cdi() error {
	edits, flags, err := c.o.cdiEdits()
	if err != nil || len(flags) == 0 {
		return err
	}
	var rules int
	if r := c.spec.Linux.Resources; r != nil {
		rules = len(r.Devices)
	}
	pointers, err := edits.Apply(c.spec, !c.o.Rootless)
	if err != nil {
		return &UsageError{Flag: flags[0], Value: strings.Join(slices.Concat(c.o.Devices, c.o.GPUs), " "), Err: err}
	}
	if r := c.spec.Linux.Resources; r != nil {
		added := slices.Clone(r.Devices[rules:])
		r.Devices = r.Devices[:rules]
		for _, rule := range added {
			c.allow(rule) // once: an edit may ask again
		}
	}
	for _, pointer := range pointers {
		c.mark(pointer, strings.Join(flags, " or "))
	}
	paths := edits.HostPaths()
	for _, dest := range slices.Sorted(maps.Keys(paths)) {
		c.bindDevice(strings.Join(flags, " or "), paths[dest], dest)
	}
	return nil
}
