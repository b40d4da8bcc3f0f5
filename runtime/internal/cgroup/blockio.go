package cgroup

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// blockIO's controller is blkio on v1 and io on v2.
func (b *builder) blockIO(io *specs.LinuxBlockIO) {
	throttles := [...]struct {
		name, v1, v2 string
		list         []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", io.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", io.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", io.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", io.ThrottleWriteIOPSDevice},
	}
	b.weights(io)
	for _, t := range throttles {
		for i, d := range t.list {
			pointer := "/blockIO/" + t.name + "/" + strconv.Itoa(i)
			device := number(d.LinuxBlockIODevice)
			rate := strconv.FormatUint(d.Rate, 10)
			switch {
			case b.has("blkio") == 1:
				b.put("blkio", t.v1, device+" "+rate, pointer)
			case b.version("io", pointer) == 2:
				if d.Rate == 0 {
					rate = "max" // 0 lifts the limit on v1, and is refused on v2
				}
				b.put("io", "io.max", device+" "+t.v2+"="+rate, pointer)
			}
		}
	}
}

func (b *builder) weights(io *specs.LinuxBlockIO) {
	if io.Weight != nil && *io.Weight != 0 {
		b.weight(*io.Weight, "", "/blockIO/weight")
	}
	if io.LeafWeight != nil && *io.LeafWeight != 0 && b.onlyBlkio("/blockIO/leafWeight") {
		b.put("blkio", "blkio.leaf_weight", strconv.Itoa(int(*io.LeafWeight)), "/blockIO/leafWeight")
	}
	for i, d := range io.WeightDevice {
		pointer := "/blockIO/weightDevice/" + strconv.Itoa(i)
		if d.Weight == nil && d.LeafWeight == nil {
			b.fail(pointer, spec.RuntimeBlockWeight, ErrValue)
		}
		if d.Weight != nil {
			b.weight(*d.Weight, number(d.LinuxBlockIODevice), pointer)
		}
		if d.LeafWeight != nil && b.onlyBlkio(pointer+"/leafWeight") {
			b.put("blkio", "blkio.leaf_weight_device", number(d.LinuxBlockIODevice)+" "+strconv.Itoa(int(*d.LeafWeight)), pointer)
		}
	}
}

// weight writes a weight for a device, or for all if device is "", to the file of the I/O scheduler
// that is there: BFQ takes 1 to 1000, as the specification counts, iocost 1 to 10000.
func (b *builder) weight(w uint16, device, pointer string) {
	if w < 10 || w > 1000 {
		b.fail(pointer, spec.Clause{}, fmt.Errorf("%w: weight %d is not in 10..1000", ErrValue, w))
		return
	}
	value := strconv.Itoa(int(w))
	if b.has("blkio") == 1 {
		suffix := ""
		if device != "" {
			suffix, value = "_device", device+" "+value
		}
		s := b.put("blkio", "blkio.bfq.weight"+suffix, value, pointer)
		plain := *s
		plain.file = "blkio.weight" + suffix // CFQ, before Linux 5.0
		s.other = &plain
		return
	}
	if b.version("io", pointer) != 2 {
		return
	}
	s := b.put("io", "io.bfq.weight", value, pointer)
	plain := *s
	// 10..1000 to 1..10000 in a straight line, as runc and crun do.
	plain.file, plain.value = "io.weight", strconv.Itoa(1+(int(w)-10)*9999/990)
	if device != "" {
		s.value, plain.value = device+" "+s.value, device+" "+plain.value
	}
	s.other = &plain
}

func (b *builder) onlyBlkio(pointer string) bool {
	if b.has("blkio") == 1 {
		return true
	}
	b.fail(pointer, spec.RuntimeConversion, ErrVersion)
	return false
}

func number(d specs.LinuxBlockIODevice) string {
	return strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
}
