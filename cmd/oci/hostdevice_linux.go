package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
)

// maxHostDevices bounds how many files of /dev are looked at for one with the right numbers.
const maxHostDevices = 4096

// ownDevices are what a runtime makes in every container (runtime-spec config-linux.md, Default Devices), and
// what the default mounts of a config hide.
var ownDevices = []string{
	"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty", "dev/console", "dev/ptmx",
}

// hostDevice finds the device of the host with the type and the numbers of d: "" if it has none.
func hostDevice(d unpack.Device) string {
	for _, p := range []string{"/" + d.Path, "/dev/" + kernelName(d)} {
		if strings.HasPrefix(p, "/dev/") && isHostDevice(p, d) {
			return p
		}
	}
	left := maxHostDevices
	return searchDevice("/dev", d, &left)
}

// kernelName is the name that the kernel has for a device number, below /dev.
func kernelName(d unpack.Device) string {
	kind := "char"
	if d.Kind == unpack.BlockDevice {
		kind = "block"
	}
	f, err := os.Open(fmt.Sprintf("/sys/dev/%s/%d:%d/uevent", kind, d.Major, d.Minor))
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "DEVNAME="); ok && filepath.IsLocal(name) {
			return name
		}
	}
	return ""
}

// isHostDevice tells whether a path, itself and not what a link leads to, is the device.
func isHostDevice(p string, d unpack.Device) bool {
	var st unix.Stat_t
	if unix.Lstat(p, &st) != nil {
		return false
	}
	format := uint32(unix.S_IFCHR)
	if d.Kind == unpack.BlockDevice {
		format = unix.S_IFBLK
	}
	return st.Mode&unix.S_IFMT == format && st.Rdev == unix.Mkdev(d.Major, d.Minor)
}

func searchDevice(dir string, d unpack.Device, left *int) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch {
		case *left <= 0:
			return ""
		case e.IsDir():
			if found := searchDevice(p, d, left); found != "" {
				return found
			}
		case e.Type()&os.ModeDevice != 0 && isHostDevice(p, d):
			return p
		}
		*left--
	}
	return ""
}

// bindDevices gives the mounts that show the host's devices in the places of an image's. Those that every
// container has anyway, and those that the default mounts hide, need none; for one that the host has not
// there is a warning.
func (a *app) bindDevices(devices []unpack.Device) []specs.Mount {
	const most = 20 // warnings
	var mounts []specs.Mount
	missing := 0
	for _, d := range devices {
		if slices.Contains(ownDevices, d.Path) || hiddenByMounts(d.Path) {
			continue
		}
		if source := hostDevice(d); source != "" {
			// No further options: to add some takes a remount, which a user namespace may not do to a mount of the host.
			mounts = append(mounts, specs.Mount{Destination: "/" + d.Path, Type: "bind", Source: source, Options: []string{"bind"}})
			continue
		}
		if missing++; missing <= most {
			a.log.Warn("the host has no such device, and nothing is bound to its place", "path", fmt.Sprintf("%q", "/"+d.Path), "device", fmt.Sprintf("%s %d:%d", d.Kind, d.Major, d.Minor))
		}
	}
	if missing > most {
		a.log.Warn("the host lacks more devices of the image", "count", missing-most)
	}
	return mounts
}

// hiddenByMounts tells whether a path lies where a container has file systems of its own.
func hiddenByMounts(p string) bool {
	return beneathAny(p, []string{"/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue"}, false)
}

// leaveOutDevices takes devices of the image, and the files that stand for them, out of the container's root file
// system, if that is the policy. Below /dev the container has its own anyway.
func (r *imageRun) leaveOutDevices() error {
	policy, asked := r.f.devices, r.f.devices != ""
	if !asked && (rootless() || inUserNamespace()) {
		policy = devicesSkip
	}
	if policy != devicesSkip || r.merged {
		return nil
	}
	list := slices.DeleteFunc(slices.Clone(r.devices), func(d unpack.Device) bool {
		return strings.HasPrefix(d.Path, "dev/") || hiddenByMounts(d.Path)
	})
	if len(list) == 0 {
		return nil
	}
	root, err := unpack.RootOf(r.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, d := range list {
		if err := root.LeaveOut(d.Path); err != nil {
			return err
		}
	}
	if !asked {
		r.a.log.Warn(leftOutText(true), "count", len(list))
	}
	return nil
}
