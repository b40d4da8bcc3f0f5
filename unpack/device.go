package unpack

import (
	"slices"
	"strings"
)

// deviceList is what is known of the devices in a root.
type deviceList struct {
	there []Device        // on disk, as devices or placeholders
	left  map[string]bool // paths at which one was left out: a hardlink to it is left out too
}

func newDeviceList() *deviceList { return &deviceList{left: map[string]bool{}} }

// add notes a device that was made; another one of its path is gone.
func (l *deviceList) add(d Device) { l.there = append(l.there, d) }

// drop forgets those at path and below it, which goes.
func (l *deviceList) drop(path string) {
	if len(l.there) == 0 {
		return
	}
	l.there = slices.DeleteFunc(l.there, func(d Device) bool {
		return d.Path == path || strings.HasPrefix(d.Path, path) && d.Path[len(path)] == '/'
	})
}

// link notes that the file at target has another name now.
func (l *deviceList) link(name, target string) {
	for _, d := range l.there {
		if d.Path == target {
			d.Path = name
			l.there = append(l.there, d)
			return
		}
	}
}

// sorted gives a copy of the list by path.
func (l *deviceList) sorted() []Device {
	list := slices.Clone(l.there)
	slices.SortFunc(list, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Devices lists the devices of the root filesystem by path, and the placeholders that stand for some
// ([DeviceBind]), hardlinks to them included.
func (r Rootfs) Devices() []Device { return r.devices }
