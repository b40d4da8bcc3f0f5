package convert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	minWeight = 10 // of blkio: config-linux.md#block-io
	maxWeight = 1000
)

// blockIO sets weights, and limits of devices.
func (c *conversion) blockIO() (*specs.LinuxBlockIO, error) {
	o := c.o
	var io specs.LinuxBlockIO
	some := false
	if w := o.BlkioWeight; w != 0 {
		if w < minWeight || w > maxWeight {
			return nil, usage("--blkio-weight", strconv.Itoa(int(w)), "want %d to %d", minWeight, maxWeight)
		}
		io.Weight, some = &w, true
	}
	for _, value := range o.BlkioWeightDevices {
		major, minor, rest, err := blockDevice("--blkio-weight-device", value)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(rest, 10, 16)
		if err != nil || n < minWeight || n > maxWeight {
			return nil, usage("--blkio-weight-device", value, "want /DEVICE:WEIGHT, %d to %d", minWeight, maxWeight)
		}
		w := uint16(n)
		d := specs.LinuxWeightDevice{Weight: &w}
		d.Major, d.Minor = major, minor
		io.WeightDevice, some = append(slices.DeleteFunc(io.WeightDevice, func(e specs.LinuxWeightDevice) bool { return e.LinuxBlockIODevice == d.LinuxBlockIODevice }), d), true
	}
	throttled, err := c.throttles(&io)
	if err != nil || !some && !throttled {
		return nil, err
	}
	return &io, nil
}

// throttles sets the limits of devices; some is false without any.
func (c *conversion) throttles(io *specs.LinuxBlockIO) (some bool, err error) {
	o := c.o
	for _, t := range []struct {
		flag   string
		values []string
		rate   func(string) (int64, error)
		want   string
		list   *[]specs.LinuxThrottleDevice
	}{
		{"--device-read-bps", o.DeviceReadBps, parseSize, "1m", &io.ThrottleReadBpsDevice},
		{"--device-write-bps", o.DeviceWriteBps, parseSize, "1m", &io.ThrottleWriteBpsDevice},
		{"--device-read-iops", o.DeviceReadIOps, parseCount, "1000", &io.ThrottleReadIOPSDevice},
		{"--device-write-iops", o.DeviceWriteIOps, parseCount, "1000", &io.ThrottleWriteIOPSDevice},
	} {
		for _, value := range t.values {
			major, minor, rest, err := blockDevice(t.flag, value)
			if err != nil {
				return false, err
			}
			n, err := t.rate(rest)
			if err != nil || n <= 0 {
				return false, usage(t.flag, value, "want /DEVICE:RATE, such as /dev/sda:%s", t.want)
			}
			d := specs.LinuxThrottleDevice{Rate: uint64(n)}
			d.Major, d.Minor = major, minor
			*t.list, some = withThrottle(*t.list, d), true
		}
	}
	return some, nil
}

// withThrottle puts a limit in the place of one of the same device.
func withThrottle(list []specs.LinuxThrottleDevice, d specs.LinuxThrottleDevice) []specs.LinuxThrottleDevice {
	return append(slices.DeleteFunc(list, func(e specs.LinuxThrottleDevice) bool { return e.LinuxBlockIODevice == d.LinuxBlockIODevice }), d)
}

func parseCount(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// blockDevice takes /PATH:REST apart, where PATH is a block device of the host.
func blockDevice(flag, value string) (major, minor int64, rest string, err error) {
	i := strings.LastIndexByte(value, ':')
	if i < 1 || value[0] != '/' {
		return 0, 0, "", usage(flag, value, "want /DEVICE:VALUE")
	}
	found, err := hostDevices(value[:i], value[:i])
	switch {
	case err != nil:
		return 0, 0, "", &UsageError{Flag: flag, Value: value, Err: err}
	case len(found) != 1 || found[0].Type != "b":
		return 0, 0, "", usage(flag, value, "%s is no block device", value[:i])
	}
	return found[0].Major, found[0].Minor, value[i+1:], nil
}

// mergeBlockIO puts what is asked for beside what is there.
func mergeBlockIO(there, asked *specs.LinuxBlockIO) *specs.LinuxBlockIO {
	if there == nil || asked == nil {
		return cmp.Or(asked, there)
	}
	if asked.Weight != nil {
		there.Weight = asked.Weight
	}
	for _, d := range asked.WeightDevice {
		i := slices.IndexFunc(there.WeightDevice, func(e specs.LinuxWeightDevice) bool { return e.LinuxBlockIODevice == d.LinuxBlockIODevice })
		if i >= 0 {
			there.WeightDevice[i].Weight = d.Weight
		} else {
			there.WeightDevice = append(there.WeightDevice, d)
		}
	}
	for _, l := range []struct{ to, from *[]specs.LinuxThrottleDevice }{
		{&there.ThrottleReadBpsDevice, &asked.ThrottleReadBpsDevice},
		{&there.ThrottleWriteBpsDevice, &asked.ThrottleWriteBpsDevice},
		{&there.ThrottleReadIOPSDevice, &asked.ThrottleReadIOPSDevice},
		{&there.ThrottleWriteIOPSDevice, &asked.ThrottleWriteIOPSDevice},
	} {
		for _, d := range *l.from {
			*l.to = withThrottle(*l.to, d)
		}
	}
	return there
}
