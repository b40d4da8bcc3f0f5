package unpack

import (
	"slices"
	"strings"
)

// deviceList is what is known of the devices in a root.
type deviceList struct {
	there pathTree[Device] // on disk, as devices or placeholders
	left  map[string]bool  // paths at which one was left out: a hardlink to it is left out too
}

func newDeviceList() *deviceList { return &deviceList{left: map[string]bool{}} }

// add notes a device that was made; another one of its path is gone.
func (l *deviceList) add(d Device) { l.there.put(d.Path, d) }

// drop forgets those at path and below it, which goes.
func (l *deviceList) drop(path string) { l.there.take(path, true) }

// link notes that the file at target has another name now.
func (l *deviceList) link(name, target string) {
	if d, ok := l.there.get(target); ok {
		d.Path = name
		l.add(d)
	}
}

// sorted gives a copy of the list by path.
func (l *deviceList) sorted() []Device {
	list := l.there.all()
	slices.SortFunc(list, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Devices lists the devices of the root filesystem by path, and the placeholders that stand for some
// ([DeviceBind]), hardlinks to them included.
func (r Rootfs) Devices() []Device { return r.devices }
