package convert

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// mounts lists the default mounts, fitted to the namespaces, then those of the caller, of the
// image's volumes and of the user, parents before children. A later one at the same destination
// replaces an earlier one, and a user's /dev or /sys hides the defaults below it.
func (c *conversion) mounts() error {
	user, err := c.userMounts()
	if err != nil {
		return err
	}
	defaults, err := c.defaultMounts(user)
	if err != nil {
		return err
	}
	extra := slices.Clone(user)
	for _, m := range c.o.SpecMounts {
		if !mountsAt(extra, m.Destination) {
			extra = append(extra, m)
		}
	}
	volumes, err := c.imageVolumes(extra)
	if err != nil {
		return err
	}
	extra = append(extra, volumes...)
	slices.SortStableFunc(extra, func(a, b specs.Mount) int { return parts(a.Destination) - parts(b.Destination) })
	defaults = slices.DeleteFunc(defaults, func(m specs.Mount) bool { return mountsAt(extra, m.Destination) })
	c.spec.Mounts = slices.Concat(defaults, extra)
	return nil
}

func (c *conversion) defaultMounts(user []specs.Mount) ([]specs.Mount, error) {
	ms := slices.DeleteFunc(c.spec.Mounts, func(m specs.Mount) bool {
		return strings.HasPrefix(m.Destination, "/dev/") && mountsAt(user, "/dev") ||
			strings.HasPrefix(m.Destination, "/sys/") && mountsAt(user, "/sys") ||
			m.Destination == "/dev/shm" && c.o.IPC == "none" ||
			m.Destination == "/dev/mqueue" && c.hostMqueue() && !c.host.Mqueue
	})
	size, err := c.shmSize()
	if err != nil {
		return nil, err
	}
	for i := range ms {
		m := &ms[i]
		switch m.Destination {
		case "/proc":
			if c.inUserns() && !c.has(specs.PIDNamespace) {
				bindHost(m) // the kernel mounts proc only for who owns the pid namespace
			}
		case "/dev/pts":
			if c.inUserns() && !c.mapped(c.gids, ttyGroup) {
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "gid=") })
			}
		case "/dev/shm":
			m.Options[slices.Index(m.Options, "size=65536k")] = size
			if !c.has(specs.IPCNamespace) {
				*m = specs.Mount{Destination: m.Destination, Type: "bind", Source: "/dev/shm", Options: []string{"rbind", "nosuid", "noexec", "nodev"}}
			}
		case "/dev/mqueue":
			if c.hostMqueue() {
				bindHost(m)
			}
		case "/sys":
			if c.inUserns() && !c.has(specs.NetworkNamespace) {
				bindHost(m) // sysfs belongs to the network namespace
			}
		}
		if c.o.Privileged && strings.HasPrefix(m.Destination, "/sys") {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
	}
	return ms, nil
}

// hostMqueue reports whether the message queues must be the mount that the host has: who does not
// own the IPC namespace cannot mount them anew.
func (c *conversion) hostMqueue() bool { return c.inUserns() && !c.has(specs.IPCNamespace) }

// ttyGroup is the group of terminals that glibc's grantpt(3) expects on a devpts.
const ttyGroup = 5

// bindHost shows what the host has at the same place, with the options of the mount replaced.
func bindHost(m *specs.Mount) {
	m.Type, m.Source = "bind", m.Destination
	m.Options = append([]string{"rbind"}, m.Options...)
}

func (c *conversion) shmSize() (string, error) {
	if c.o.ShmSize == "" {
		return "size=65536k", nil
	}
	n, err := parseSize(c.o.ShmSize)
	if err != nil || n <= 0 {
		return "", usage("--shm-size", c.o.ShmSize, "want a size such as 64m")
	}
	return "size=" + strconv.FormatInt(n, 10), nil
}

// imageVolumes are bind mounts for Config.Volumes, where nothing else is mounted. The kernel's own
// file systems keep their places: an image must not put a directory of its making at /proc, where
// a runtime writes security labels (CVE-2019-16884); images for systemd name /sys/fs/cgroup.
func (c *conversion) imageVolumes(taken []specs.Mount) ([]specs.Mount, error) {
	var out []specs.Mount
	for _, name := range sortedKeys(c.img.Config.Volumes) {
		dest := path.Clean("/" + name)
		if dest == "/" || strings.ContainsRune(name, 0) || slices.Contains(strings.Split(name, "/"), "..") {
			return nil, imageError("config.Volumes", spec.ConversionVolumes, fmt.Errorf("%w: %q is no directory for a volume", ErrInvalid, name))
		}
		if c.o.VolumeDir == nil || kernelPath(dest) || mountsAt(taken, dest) || mountsAt(out, dest) {
			continue
		}
		if path.IsAbs(name) {
			dest = name // "SHOULD set the destination to the value specified"
		}
		dir, err := c.o.VolumeDir(Volume{Destination: dest})
		if err != nil {
			return nil, imageError("config.Volumes", spec.ConversionVolumes, fmt.Errorf("volume for %s: %w", dest, err))
		}
		out = append(out, specs.Mount{Destination: dest, Type: "bind", Source: dir, Options: []string{"rbind", "rprivate"}})
	}
	return out, nil
}

func kernelPath(dest string) bool {
	return slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, func(p string) bool {
		return dest == p || strings.HasPrefix(dest, p+"/")
	})
}

func mountsAt(ms []specs.Mount, dest string) bool {
	dest = path.Clean(dest)
	return slices.ContainsFunc(ms, func(m specs.Mount) bool { return path.Clean(m.Destination) == dest })
}

func parts(dest string) int { return strings.Count(path.Clean(dest), "/") }
