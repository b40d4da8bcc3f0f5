package unpack

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// knownDevices are those that the layers so far have made.
func (r *Root) knownDevices() *deviceList {
	if r.devices == nil {
		r.devices = newDeviceList()
	}
	return r.devices
}

// isDevice tells whether an entry is a device.
func (e *entry) isDevice() bool { return e.kind == charDevice || e.kind == blockDevice }

// placeDevice makes a device, or what the policy has in its place.
func (a *applier) placeDevice(d *dir, name string, e *entry, p *payload) error {
	switch {
	case e.kind == charDevice && e.major == 0 && e.minor == 0:
		if a.o.Devices == DeviceError {
			return fail("apply", e.path, spec.LayerWhiteout, ErrDevice, "a device 0/0 would be a whiteout to overlayfs; to leave it out, skip devices")
		}
		a.warn.entry(e.path, "a device 0/0 is left out: overlayfs would take it for a whiteout")
		return nil
	case a.o.Devices == DeviceSkip:
		a.warn.entry(e.path, "a device is left out")
		a.leftOut("device")
		return a.leaveOutAt(d, name)
	}
	return a.placeFile(d, name, e, p)
}

// leaveOutAt makes that nothing is at name in d, as if what was left out had been made there and removed.
func (a *applier) leaveOutAt(d *dir, name string) error {
	path := join(d.path, name)
	a.devices.left[path] = true
	if _, err := a.clear(d, name); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if a.form == Merged || a.belowOpaque(path) {
		return nil
	}
	return a.makeWhiteout(d, name)
}

// createDevice makes a device or its placeholder: EEXIST if the name is taken.
func (a *applier) createDevice(d *dir, name string, e *entry) error {
	note := Device{
		Path: join(d.path, name), Kind: CharDevice, Major: e.major, Minor: e.minor, Mode: e.mode & 0o777, UID: e.uid, GID: e.gid,
	}
	if e.kind == blockDevice {
		note.Kind = BlockDevice
	}
	format := e.kind.format()
	err := error(unix.EPERM)
	if a.o.Devices != DeviceBind {
		err = unix.Mknodat(d.fd, name, format|e.mode, int(unix.Mkdev(e.major, e.minor)))
	}
	switch {
	case err == unix.EPERM && (a.o.Devices == DeviceBind || a.o.Devices == DeviceAny):
		note.Placeholder = true
		a.leftOut("device")
		err = a.placeholder(d, name, e)
	case err == unix.EPERM:
		return fail("apply", e.path, spec.LayerAttributes, ErrDevice,
			"device %d:%d: %w; run as root, or skip devices, or have the host's bind mounted", e.major, e.minor, err)
	case err == nil:
		a.mine(d, name, -1)
		err = a.attributes(d, name, format, e)
	}
	if err == nil {
		a.devices.add(note)
	}
	return err
}

// placeholder makes the empty file that stands for a device.
func (a *applier) placeholder(d *dir, name string, e *entry) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(d.fd, name, flags, e.mode&0o777)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a.mine(d, name, -1)
	return a.fileAttributes(d, fd, e)
}

// LeaveOut removes what is at path and is no directory, and leaves the time of its directory as it is. No
// symbolic link is followed. Nothing at path is fs.ErrNotExist.
func (r *Root) LeaveOut(path string) error {
	up, name := split(path)
	d, err := r.existing(up)
	if err == nil {
		if err = unix.Unlinkat(d.fd, name, 0); err == nil {
			err = setTimes(d.fd, d.mtime)
		}
	}
	if err != nil {
		return &Error{Op: "remove", Subject: path, Err: err}
	}
	return nil
}
