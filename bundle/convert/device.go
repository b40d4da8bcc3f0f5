package convert

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
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
			l.Devices = append(l.Devices, d)
			l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{
				Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: access,
			})
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
			l.Devices = append(l.Devices, found...)
		}
	}
	if c.o.Rootless {
		l.Resources.Devices = nil
	}
	return nil
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
