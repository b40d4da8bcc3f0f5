package convert

import (
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/origin"
)

// devices adds the devices of the user, or for a privileged container all of the host, and the
// cgroup rules that let it use them. Without root there are no rules: only the host's root may
// set them.
func (c *conversion) devices() error {
	l := c.spec.Linux
	for _, value := range c.o.Devices {
		if isCDI(value) {
			continue
		}
		source, dest, access, err := parseDevice(value)
		if err != nil {
			return err
		}
		found, err := hostDevices(source, dest)
		if err != nil {
			return &UsageError{Flag: "--device", Value: value, Err: err}
		}
		for _, d := range found {
			c.addDevice(d)
			c.allow(specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: access})
			c.bindDevice("--device", path.Join(source, strings.TrimPrefix(d.Path, path.Clean(dest))), d.Path)
		}
	}
	c.named = len(l.Devices)
	if c.o.Privileged {
		l.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		if !c.inUserns() {
			found, err := hostDevices("/dev", "/dev")
			if err != nil {
				return &UsageError{Flag: "--privileged", Value: "true", Err: err}
			}
			for _, d := range found {
				c.addDevice(d)
			}
		}
	}
	if err := c.deviceRules(); err != nil {
		return err
	}
	if c.o.Rootless {
		l.Resources.Devices = nil
	}
	return nil
}

// addDevice puts a device in the place of one at the same path.
func (c *conversion) addDevice(d specs.LinuxDevice) {
	l := c.spec.Linux
	if i := slices.IndexFunc(l.Devices, func(o specs.LinuxDevice) bool { return o.Path == d.Path }); i >= 0 {
		l.Devices[i] = d
	} else {
		l.Devices = append(l.Devices, d)
	}
}

// allow adds a rule, unless it is there and nothing after it denies.
func (c *conversion) allow(rule specs.LinuxDeviceCgroup) (added bool) {
	r := c.spec.Linux.Resources
	for i := len(r.Devices) - 1; i >= 0 && r.Devices[i].Allow; i-- {
		if reflect.DeepEqual(r.Devices[i], rule) {
			return false
		}
	}
	r.Devices = append(r.Devices, rule)
	return true
}

// deviceRules adds those of --device-cgroup-rule.
func (c *conversion) deviceRules() error {
	for _, value := range c.o.DeviceCgroupRules {
		rule, err := parseDeviceRule(value)
		if err != nil {
			return err
		}
		if c.allow(rule) && !c.o.Privileged {
			c.mark(origin.At("/linux/resources/devices", len(c.spec.Linux.Resources.Devices)-1), "--device-cgroup-rule")
		}
	}
	return nil
}

// parseDeviceRule takes KIND MAJOR:MINOR ACCESS, as cgroup v1 has it (devices.txt): c 189:* rwm.
func parseDeviceRule(value string) (specs.LinuxDeviceCgroup, error) {
	rule := specs.LinuxDeviceCgroup{Allow: true}
	f := strings.Fields(value)
	if len(f) == 3 {
		major, minor, ok := strings.Cut(f[1], ":")
		var err1, err2 error
		rule.Major, err1 = deviceNumber(major)
		rule.Minor, err2 = deviceNumber(minor)
		rule.Type, rule.Access = f[0], f[2]
		if ok && err1 == nil && err2 == nil && slices.Contains([]string{"a", "b", "c"}, f[0]) && len(f[2]) <= 3 && strings.Trim(f[2], "rwm") == "" {
			return rule, nil
		}
	}
	return rule, usage("--device-cgroup-rule", value, "want KIND MAJOR:MINOR ACCESS, such as \"c 189:* rwm\"; KIND is a, b or c")
}

// deviceNumber is nil for all of them.
func deviceNumber(s string) (*int64, error) {
	if s == "*" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err == nil && n < 0 {
		err = strconv.ErrRange
	}
	return &n, err
}

// parseDevice takes HOST[:CONTAINER][:ACCESS].
func parseDevice(value string) (source, dest, access string, err error) {
	f := strings.Split(value, ":")
	source, dest, access = f[0], f[0], "rwm"
	rest := f[1:]
	if len(rest) > 0 && path.IsAbs(rest[0]) {
		dest, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 && rest[0] != "" && strings.Trim(rest[0], "rwm") == "" {
		access, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 || !path.IsAbs(source) || path.Clean(dest) == "/" {
		return "", "", "", usage("--device", value, "want /HOST/PATH[:/CONTAINER/PATH][:rwm], or VENDOR/CLASS=NAME")
	}
	return source, dest, access, nil
}
