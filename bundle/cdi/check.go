package cdi

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/hooks"
	"github.com/oci-pipeline/oci/bundle/origin"
)

// noPermissions stands for no access by a cgroup rule; absent permissions are all.
const noPermissions = "none"

// checker collects the first problem of a list of rules.
type checker struct{ err error }

// ask notes a problem unless one was noted before.
func (c *checker) ask(ok bool, pointer string, kind error, format string, args ...any) {
	if c.err == nil && !ok {
		c.err = problem(pointer, fmt.Errorf("%w: "+format, append([]any{kind}, args...)...), "")
	}
}

func (c *checker) given(text, pointer string) {
	if c.err == nil && text == "" {
		c.err = problem(pointer, bundle.ErrMissing, "")
	}
}

func (c *checker) env(env []string, pointer string) {
	for i, v := range env {
		c.ask(strings.IndexByte(v, '=') > 0 && !strings.ContainsRune(v, 0), origin.At(pointer, i), bundle.ErrInvalid, "%q is not NAME=value", v)
	}
}

// list hands on the elements of a list, none of which may be null.
func list[T any](c *checker, items []*T, pointer string, each func(*T, string)) {
	for i, item := range items {
		at := origin.At(pointer, i)
		c.ask(item != nil, at, bundle.ErrInvalid, "null")
		if item != nil {
			each(item, at)
		}
	}
}

func checkEdits(e *cdispec.ContainerEdits, at string) error {
	c := &checker{}
	c.env(e.Env, at+"/env")
	list(c, e.DeviceNodes, at+"/deviceNodes", c.deviceNode)
	list(c, e.Hooks, at+"/hooks", c.hook)
	list(c, e.Mounts, at+"/mounts", func(m *cdispec.Mount, at string) {
		c.given(m.HostPath, at+"/hostPath")
		c.given(m.ContainerPath, at+"/containerPath")
	})
	list(c, e.NetDevices, at+"/netDevices", func(d *cdispec.LinuxNetDevice, at string) {
		c.given(d.HostInterfaceName, at+"/hostInterfaceName")
		c.given(d.Name, at+"/name")
	})
	if c.err == nil {
		c.err = checkNetDevices(e.NetDevices, at+"/netDevices")
	}
	if r := e.IntelRdt; r != nil && r.ClosID != "/" { // "/" is the class of all that have none
		fits := len(r.ClosID) < 4096 && r.ClosID != "." && r.ClosID != ".." && !strings.ContainsAny(r.ClosID, "/\n")
		c.ask(fits, at+"/intelRdt/closID", bundle.ErrInvalid, "%q is no name of a file", r.ClosID)
	}
	return c.err
}

func (c *checker) deviceNode(d *cdispec.DeviceNode, at string) {
	c.given(d.Path, at+"/path")
	c.ask(len(d.Type) <= 1 && strings.Contains("bcup", d.Type), at+"/type", bundle.ErrInvalid, "%q is not b, c, u or p", d.Type)
	c.ask(d.Major >= 0, at+"/major", bundle.ErrInvalid, "%d stands for every number", d.Major)
	c.ask(d.Minor >= 0, at+"/minor", bundle.ErrInvalid, "%d stands for every number", d.Minor)
	c.ask(d.Permissions == noPermissions || strings.Trim(d.Permissions, "rwm") == "", at+"/permissions", bundle.ErrInvalid, "%q is not of r, w and m", d.Permissions)
}

func (c *checker) hook(h *cdispec.Hook, at string) {
	c.ask(hooks.At(&specs.Hooks{}, h.HookName) != nil, at+"/hookName", hooks.ErrStage, "%q", h.HookName)
	c.given(h.Path, at+"/path")
	c.ask(path.IsAbs(h.Path), at+"/path", bundle.ErrInvalid, "%q is not an absolute path", h.Path)
	c.env(h.Env, at+"/env")
	c.ask(h.Timeout == nil || *h.Timeout > 0, at+"/timeout", bundle.ErrInvalid, "no time to wait")
}

// checkNetDevices asks that no interface is moved twice, and no two to one name.
func checkNetDevices(devices []*cdispec.LinuxNetDevice, at string) error {
	host, inside := map[string]bool{}, map[string]bool{}
	for i, d := range devices {
		switch {
		case host[d.HostInterfaceName]:
			return problem(origin.At(at, i)+"/hostInterfaceName", fmt.Errorf("%w: %q", bundle.ErrDuplicate, d.HostInterfaceName), "")
		case inside[d.Name]:
			return problem(origin.At(at, i)+"/name", fmt.Errorf("%w: %q", bundle.ErrDuplicate, d.Name), "")
		}
		host[d.HostInterfaceName], inside[d.Name] = true, true
	}
	return nil
}
