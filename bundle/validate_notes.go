package bundle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const (
	// maxProblems is how many problems of the decoding are told: one document may hold 100,000.
	maxProblems = 1000
	// maxPointers bounds the bytes of their pointers, as one key may be 8 MiB long and stand in each of them.
	maxPointers = 4 << 20
	// hwConfig is what config-vm.md calls the property that specs-go spells hwconfig.
	hwConfig = "hwConfig"
)

// notes collects what a decoder finds that goes on after a problem.
type notes struct {
	problems Problems
	pointers int      // bytes of all pointers
	wrong    []string // pointers of values of the wrong type, which count as absent from then on
	newer    []newer
}

// newer is a property that came after 1.0, and where it stands.
type newer struct{ pointer, since string }

// refuse gives the problem back, or notes it and gives nil.
func (s *scanner) refuse(p *Problem) error {
	n := s.notes
	if n == nil {
		return p
	}
	n.pointers += len(p.Pointer)
	if len(n.problems) >= maxProblems || n.pointers > maxPointers {
		return &Problem{Clause: spec.BundleJSON, Err: fmt.Errorf("%w: more than %d problems", ErrTooLarge, len(n.problems)), Hint: "repair those first"}
	}
	n.problems = append(n.problems, p)
	return nil
}

// wrongType notes that the value here is not of its type.
func (d *decoder) wrongType(err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	if p.Hint == "" {
		p.Hint = "a value of the type that the error names"
	}
	d.notes.wrong = append(d.notes.wrong, p.Pointer)
	return d.refuse(p)
}

// null notes a property that is there and says nothing. It is no problem for one who only decodes.
func (d *decoder) null() error {
	if d.notes == nil {
		return nil
	}
	return d.refuse(&Problem{Pointer: d.pointer(), Clause: spec.ConfigNull, Err: fmt.Errorf("%w: null", ErrInvalid), Hint: "leave the property out"})
}

// atNull reports whether the value that comes next is null, which is as good as none.
func (d *decoder) atNull() bool {
	d.space()
	pos := d.pos
	null := d.literal("null")
	d.pos = pos
	return null
}

// unknown notes a property that no version up to 1.3 has.
func (d *decoder) unknown(key string, fields []field) error {
	if d.notes == nil {
		return nil
	}
	hint := "leave it out, or put it into annotations"
	for _, f := range fields {
		if strings.EqualFold(f.name, key) {
			hint = "spell it " + f.name
		}
	}
	return d.refuse(&Problem{Pointer: d.pointer(), Clause: spec.ConfigExtensibility, Err: fmt.Errorf("%w: unknown property, which runtimes ignore", ErrInvalid), Hint: hint})
}

// uses remembers a property that is newer than 1.0.
func (d *decoder) uses(t reflect.Type, name string) {
	if d.notes == nil || len(d.notes.newer) >= maxProblems {
		return
	}
	if v := since(t, name); v != "" {
		pointer := d.pointer()
		if d.notes.pointers += len(pointer); d.notes.pointers <= maxPointers {
			d.notes.newer = append(d.notes.newer, newer{pointer, v})
		}
	}
}

// since gives the version that brought a property; "" if 1.0 has it. (From the change log of runtime-spec.)
func since(t reflect.Type, name string) string {
	switch t {
	case reflect.TypeFor[specs.Spec]():
		return map[string]string{"domainname": "1.1.0", "zos": "1.1.0", "freebsd": "1.3.0"}[name]
	case reflect.TypeFor[specs.Process]():
		return map[string]string{"scheduler": "1.1.0", "ioPriority": "1.1.0", "execCPUAffinity": "1.2.1"}[name]
	case reflect.TypeFor[specs.Mount]():
		return map[string]string{"uidMappings": "1.1.0", "gidMappings": "1.1.0"}[name]
	case reflect.TypeFor[specs.VM]():
		return map[string]string{"hwconfig": "1.3.0"}[name]
	case reflect.TypeFor[specs.Linux]():
		return map[string]string{"timeOffsets": "1.1.0", "netDevices": "1.3.0", "memoryPolicy": "1.3.0"}[name]
	case reflect.TypeFor[specs.LinuxResources]():
		return map[string]string{"unified": "1.1.0"}[name]
	case reflect.TypeFor[specs.LinuxCPU]():
		return map[string]string{"idle": "1.1.0", "burst": "1.1.0"}[name]
	case reflect.TypeFor[specs.LinuxMemory]():
		return map[string]string{"checkBeforeUpdate": "1.1.0"}[name]
	case reflect.TypeFor[specs.LinuxSeccomp]():
		return map[string]string{"defaultErrnoRet": "1.1.0", "listenerPath": "1.1.0", "listenerMetadata": "1.1.0"}[name]
	case reflect.TypeFor[specs.LinuxSyscall]():
		return map[string]string{"errnoRet": "1.1.0"}[name]
	case reflect.TypeFor[specs.LinuxIntelRdt]():
		return map[string]string{"schemata": "1.3.0", "enableMonitoring": "1.3.0"}[name]
	}
	return ""
}

// lacks tells of a required property that is not there. One that a runtime does without stops no decoding.
func (d *decoder) lacks(v reflect.Value, name string, want required) error {
	p := &Problem{Pointer: d.pointer() + "/" + name, Clause: want.clause, Err: ErrMissing, Hint: want.hint}
	if d.notes == nil && !p.Must() {
		return nil
	}
	if device, ok := v.Interface().(specs.LinuxDevice); ok && device.Type == "p" {
		return nil // a FIFO has no number
	}
	return d.refuse(p)
}

// required are properties that a structure must have and whose absence its zero value would hide.
type required struct {
	names  []string // at most 8
	clause spec.Clause
	hint   string
}

func requiredOf(t reflect.Type) required {
	switch t {
	case reflect.TypeFor[specs.Box]():
		return required{[]string{"height", "width"}, spec.ProcessConsoleSize, "a number of characters"}
	case reflect.TypeFor[specs.User]():
		return required{[]string{"uid", "gid"}, spec.ProcessUserIDs, "a number, such as 0"}
	case reflect.TypeFor[specs.LinuxDevice]():
		return required{[]string{"major", "minor"}, spec.LinuxDeviceNumber, "the number of the device"}
	case reflect.TypeFor[specs.POSIXRlimit]():
		return required{[]string{"soft", "hard"}, spec.BundleRlimits, "a limit"}
	case reflect.TypeFor[specs.LinuxIDMapping]():
		return required{[]string{"containerID", "hostID", "size"}, spec.BundleIDMappings, "a number"}
	case reflect.TypeFor[specs.LinuxDeviceCgroup]():
		return required{[]string{"allow"}, spec.BundleDeviceRules, "true or false"}
	case reflect.TypeFor[specs.LinuxHugepageLimit]():
		return required{[]string{"limit"}, spec.LinuxHugePages, "bytes"}
	case reflect.TypeFor[specs.LinuxInterfacePriority]():
		return required{[]string{"priority"}, spec.LinuxNetwork, "a number"}
	case reflect.TypeFor[specs.LinuxSeccompArg]():
		return required{[]string{"index", "value"}, spec.BundleSeccomp, "a number"}
	case reflect.TypeFor[specs.LinuxWeightDevice](), reflect.TypeFor[specs.LinuxThrottleDevice]():
		return required{[]string{"major", "minor"}, spec.BundleBlockIO, "the number of a device"}
	case reflect.TypeFor[specs.IOMems]():
		return required{[]string{"firstMFN", "nrMFNs"}, spec.VMHardware, "a number"}
	case reflect.TypeFor[specs.VM]():
		return required{[]string{"kernel"}, spec.VMKernel, `{"path": "/path/to/vmlinux"}`}
	}
	return required{}
}
