package convert

import (
	"strings"

	"github.com/oci-pipeline/oci/bundle/cdi"
	"github.com/oci-pipeline/oci/bundle/hooks"
)

// CheckFiles reads what HooksDirs, Devices and GPUs by their names of CDI, and InitPath name, so that a caller can ask before it fetches or makes
// anything. The error is a *UsageError, that of Spec.
func CheckFiles(o Options) error {
	if len(o.HooksDirs) > 0 {
		if _, err := hooks.Load(o.HooksDirs...); err != nil {
			return &UsageError{Flag: "--hooks-dir", Value: strings.Join(o.HooksDirs, " "), Err: err}
		}
	}
	if o.InitPath != "" {
		if err := checkStatic(o.InitPath); err != nil {
			return &UsageError{Flag: "--init-path", Value: o.InitPath, Err: err}
		}
	}
	_, _, err := o.cdiEdits()
	return err
}

// cdiEdits gives what the devices that are asked for want changed, and which flags ask.
func (o *Options) cdiEdits() (edits cdi.Edits, flags []string, err error) {
	requests, err := o.cdiRequests()
	if err != nil || len(requests) == 0 {
		return edits, nil, err
	}
	registry, err := cdi.Load(o.CDISpecDirs...)
	if err != nil {
		return edits, nil, &UsageError{Flag: "--cdi-spec-dir", Value: strings.Join(o.CDISpecDirs, " "), Err: err}
	}
	var names []cdi.Name
	for _, r := range requests {
		names = append(names, r.name)
		if edits, err = registry.Find(names...); err != nil {
			return edits, nil, r.refuse(err)
		}
		if len(flags) == 0 || flags[len(flags)-1] != r.flag {
			flags = append(flags, r.flag)
		}
	}
	return edits, flags, nil
}
