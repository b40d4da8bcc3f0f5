package convert

import (
	"errors"
	"fmt"
	"path"
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

// cdi makes the changes that the files of the devices ask for.
func (c *conversion) cdi() error {
	requests, err := c.o.cdiRequests()
	if err != nil || len(requests) == 0 {
		return err
	}
	registry, err := cdi.Load(c.o.CDISpecDirs...)
	if err != nil {
		return &UsageError{Flag: "--cdi-spec-dir", Value: strings.Join(c.o.CDISpecDirs, " "), Err: err}
	}
	var names []cdi.Name
	var flags []string
	var edits cdi.Edits
	for _, r := range requests {
		names = append(names, r.name)
		if edits, err = registry.Find(names...); err != nil {
			if r.flag == "--gpus" && errors.Is(err, cdi.ErrNoDevice) {
				err = fmt.Errorf("%w; nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml describes the GPUs of NVIDIA", err)
			}
			return &UsageError{Flag: r.flag, Value: r.value, Err: err}
		}
		if len(flags) == 0 || flags[len(flags)-1] != r.flag {
			flags = append(flags, r.flag)
		}
	}
	pointers, err := edits.Apply(c.spec, !c.o.Rootless)
	if err != nil {
		return &UsageError{Flag: requests[0].flag, Value: requests[0].value, Err: err}
	}
	for _, pointer := range pointers {
		c.mark(pointer, strings.Join(flags, " or "))
	}
	return nil
}
