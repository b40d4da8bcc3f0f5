package host

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// root judges the root directory: everything else of the file system depends on it.
func (j *judge) root() {
	if j.s.Root == nil || j.s.Root.Path == "" {
		return
	}
	const pointer = "/root/path"
	switch f := j.Files[j.rootPath()]; {
	case f.Kind == "" || !j.there(pointer, j.rootPath(), "the path of a directory; `oci unpack` makes one of an image"):
	case f.Kind != Directory:
		j.refuse(pointer, "the path of a directory", ErrKind, "%s is a %s", j.rootPath(), f.Kind)
	case f.NoExec:
		j.refuse(pointer, "a directory on a file system mounted without noexec", ErrOff, "running programs of %s, which is mounted noexec", j.rootPath())
	}
}

func (j *judge) rootPath() string {
	if j.s.Root == nil {
		return ""
	}
	return j.hostPath(j.s.Root.Path)
}

// hostPath is a path of the config as one of the host: relative ones are below the bundle.
func (j *judge) hostPath(p string) string { return hostPath(j.Bundle, p) }

func hostPath(dir, p string) string {
	if p == "" || path.IsAbs(p) || dir == "" {
		return p
	}
	return path.Join(dir, p)
}

// isBind tells whether a mount shows what is there already.
func isBind(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

func isRemount(m specs.Mount) bool { return slices.Contains(m.Options, "remount") }

func (j *judge) mounts() {
	for i, m := range j.s.Mounts {
		pointer := "/mounts/" + strconv.Itoa(i)
		j.attributes(pointer, m)
		switch {
		case isRemount(m):
		case isBind(m):
			j.bind(pointer, i, m)
		case m.Type != "" && m.Type != "none":
			j.filesystem(pointer, i, m)
		}
	}
}

// attributes judges the options that are the kernel's own.
func (j *judge) attributes(pointer string, m specs.Mount) {
	for k, o := range m.Options {
		at := pointer + "/options/" + strconv.Itoa(k)
		switch {
		case recursive(o) && j.SetattrMissing:
			j.refuse(at, strings.TrimPrefix(o, "r")+", for the mount without those below it", ErrKernel, "mount_setattr(2), of Linux 5.12, for %s", o)
		case (o == "idmap" || o == "ridmap") && j.SetattrMissing:
			j.refuse(at, "files with the ids that the container is to see", ErrKernel, "mount_setattr(2), of Linux 5.12, for %s", o)
		case (o == "nosymfollow" || o == "rnosymfollow") && j.before(5, 10):
			j.refuse(at, "leave it out", ErrKernel, "%s, of Linux 5.10", o)
		}
	}
	if idMapped(m) {
		j.idMap(pointer, m)
	}
}

// before tells whether the kernel is older than a version.
func (j *judge) before(major, minor int) bool {
	k := j.Kernel
	return k != [2]int{} && (k[0] < major || k[0] == major && k[1] < minor)
}

// recursive tells whether an option is for a mount and all below it.
func recursive(o string) bool {
	return slices.Contains([]string{
		"rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec", "rnodiratime", "rdiratime", "rrelatime", "rnorelatime",
		"rnoatime", "ratime", "rstrictatime", "rnostrictatime", "rnosymfollow", "rsymfollow",
	}, o)
}

func idMapped(m specs.Mount) bool {
	return len(m.UIDMappings)+len(m.GIDMappings) > 0 || slices.Contains(m.Options, "idmap") || slices.Contains(m.Options, "ridmap")
}

// idMap judges by what file systems know of mapped ids, and by mount_setattr(2): it takes rights over the file system itself.
func (j *judge) idMap(pointer string, m specs.Mount) {
	fs := j.Files[j.hostPath(m.Source)].FS
	since, listed := mappable(fs)
	switch {
	case !isBind(m) || isRemount(m):
	case !j.holds(capSysAdmin), j.InUserNamespace && listed && fs != "tmpfs": // that may be the caller's own
		j.refuse(pointer+"/options", "run as root, or give the files the ids that the container is to see", ErrPrivilege, "mapping the ids of a file system that is not the caller's own")
	case listed && since == [2]int{}, listed && j.before(since[0], since[1]):
		j.refuse(pointer+"/source", "a directory on ext4, xfs, btrfs or (Linux 6.3) tmpfs", ErrKernel, "mapped ids on %s", fs)
	}
}

// mappable gives the version in which a file system learned to map ids, 0.0 for never; false if that is not known.
func mappable(fs string) ([2]int, bool) {
	v, ok := map[string][2]int{
		"ext4": {5, 12}, "xfs": {5, 12}, "btrfs": {5, 15}, "erofs": {5, 19}, "squashfs": {6, 2}, "tmpfs": {6, 3}, "hugetlbfs": {6, 9},
		"overlay": {}, "proc": {}, "sysfs": {}, "nfs": {}, "cgroup": {}, "cgroup2": {}, "devpts": {}, "mqueue": {}, "ramfs": {},
	}[fs]
	return v, ok
}

// bind judges the source and what it is mounted over.
func (j *judge) bind(pointer string, i int, m specs.Mount) {
	source := j.hostPath(m.Source)
	f := j.Files[source]
	if m.Source == "" || f.Kind == "" || !j.there(pointer+"/source", source, "the path of a file or directory of this machine, made before") {
		return
	}
	at, known := j.inside(m.Destination, i)
	directory := f.Kind == Directory
	switch {
	case !known || at.Kind == "" || at.Kind == Denied || at.Kind == Hung:
	case at.Kind == Absent:
		j.placeable(pointer, m, at)
	case directory != (at.Kind == Directory):
		j.refuse(pointer+"/source", "a "+string(kindOf(at.Kind))+", as the destination is", ErrKind, "%s is a %s, and what the root directory has at %s a %s", source, f.Kind, m.Destination, at.Kind)
	}
}

// kindOf is what a source must be to be mounted there.
func kindOf(k Kind) Kind {
	if k == Directory {
		return k
	}
	return Regular
}

// placeable judges whether the place of a mount can be made.
func (j *judge) placeable(pointer string, m specs.Mount, at File) {
	if at.Frozen {
		j.refuse(pointer+"/destination", "a place that the root directory has", ErrOff, "making %s in a root directory that lies on a read-only mount", m.Destination)
	}
}

// maxDepth is the number of names in a path above which nothing is said of it.
const maxDepth = 64

// inside gives what the root directory has at a place, if no mount before the one with the number before covers it; -1: any mount.
func (j *judge) inside(p string, before int) (File, bool) {
	p = path.Clean("/" + p)
	if len(p) > 4096 || strings.Count(p, "/") > maxDepth {
		return File{}, false
	}
	f, ok := j.Inside[p]
	if !ok || j.covered(p, before) || f.Real != "" && j.covered(f.Real, before) {
		return File{}, false
	}
	return f, true
}

// covered tells whether a mount before the one with the number before lies at a path or above it.
func (j *judge) covered(p string, before int) bool {
	for at := p; ; at = path.Dir(at) {
		if i, ok := j.covers[at]; ok && (before < 0 || i < before) {
			return true
		}
		if at == "/" || at == "." {
			return false
		}
	}
}

// below tells whether p is dir or lies in it.
func below(p, dir string) bool {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// filesystem judges a new mount of a file system.
func (j *judge) filesystem(pointer string, i int, m specs.Mount) {
	fs, ok := j.Filesystems[baseType(m.Type)]
	switch owner, why := j.ownerOf(m.Type); {
	case m.Type == "cgroup" || m.Type == "cgroup2":
		j.cgroupMount(pointer, m)
		return
	case j.Filesystems != nil && !ok:
		j.refuse(pointer+"/type", "a type of /proc/filesystems", ErrKernel, "the file system %s", m.Type)
		return
	case owner != "" && m.Type == "sysfs":
		j.change(pointer, "a namespace of type "+string(owner)+" without path, or a read-only bind mount of /sys", ErrPrivilege, "a sysfs %s (some runtimes show the host's instead)", why)
	case owner != "":
		j.refuse(pointer, "a namespace of type "+string(owner)+" without path, or a bind mount", ErrPrivilege, "a file system %s %s", m.Type, why)
	case j.mapped() && (fs.Device || rootMountable(m.Type)):
		j.refuse(pointer+"/type", "a bind mount of what is mounted on the host", ErrPrivilege, "mounting %s in a user namespace", m.Type)
	case m.Type == "overlay" && j.mapped() && j.before(5, 11):
		j.refuse(pointer+"/type", "a bind mount of an overlay of the host, or fuse-overlayfs", ErrKernel, "overlay in a user namespace, of Linux 5.11")
	case m.Type == "proc" && j.ProcCovered && j.mapped():
		j.refuse(pointer, "a bind mount of /proc", ErrPrivilege, "a new proc in a user namespace, where parts of this one are covered by mounts")
	}
	if fs.Device {
		j.disk(pointer, m)
	}
	if m.Type == "overlay" {
		j.overlay(pointer, m)
	}
	j.options(pointer, i, m)
	if at, known := j.inside(m.Destination, i); known && at.Kind == Absent {
		j.placeable(pointer, m, at)
	} else if known && at.Kind != "" && at.Kind != Directory && at.Kind != Denied && at.Kind != Hung {
		j.refuse(pointer+"/destination", "the place of a directory", ErrKind, "the root directory has a %s at %s", at.Kind, m.Destination)
	}
}

// ownerOf gives the type of the namespace that a file system shows, if the container's user namespace does not own it: then the kernel
// refuses the mount.
func (j *judge) ownerOf(fs string) (specs.LinuxNamespaceType, string) {
	owner := map[string]specs.LinuxNamespaceType{"proc": specs.PIDNamespace, "mqueue": specs.IPCNamespace, "sysfs": specs.NetworkNamespace}[fs]
	if n, shared := j.namespace(owner); owner == "" || !j.fresh(specs.UserNamespace) || shared && n.Path == "" || n.Path != "" {
		return "", ""
	}
	return owner, "that shows a " + string(owner) + " namespace which the container's user namespace does not own"
}

// baseType is the type that the kernel knows: those of FUSE have one of their own after a dot.
func baseType(fs string) string {
	if base, _, ok := strings.Cut(fs, "."); ok && (base == "fuse" || base == "fuseblk") {
		return base
	}
	return fs
}

// rootMountable are the types without a device that only the machine's first user namespace may mount (they lack FS_USERNS_MOUNT).
func rootMountable(fs string) bool {
	return slices.Contains([]string{
		"hugetlbfs", "debugfs", "tracefs", "securityfs", "devtmpfs", "pstore", "efivarfs", "configfs", "resctrl", "fusectl", "nfs", "nfs4", "cifs",
		"smb3", "9p", "ceph", "virtiofs",
	}, fs)
}

// disk judges the source of a file system that lies on a block device.
func (j *judge) disk(pointer string, m specs.Mount) {
	const hint = "a block device, or bind for what is mounted on the host"
	source := j.hostPath(m.Source)
	if f := j.Files[source]; f.Kind != "" && j.there(pointer+"/source", source, hint) && f.Kind != Block {
		j.refuse(pointer+"/source", hint, ErrKind, "%s is a %s, and %s lies on a block device", source, f.Kind, m.Type)
	}
}

// overlay judges the directories of an overlay.
func (j *judge) overlay(pointer string, m specs.Mount) {
	for k, o := range m.Options {
		key, _, _ := strings.Cut(o, "=")
		for _, dir := range overlayDirs(o) {
			at := pointer + "/options/" + strconv.Itoa(k)
			f := j.Files[dir]
			if f.Kind != "" && j.there(at, dir, "a directory that is there") && f.Kind != Directory {
				j.refuse(at, "a directory", ErrKind, "%s %s is a %s", key, dir, f.Kind)
			}
		}
	}
}

// overlayDirs are the absolute paths of an option of overlay.
func overlayDirs(option string) []string {
	key, value, _ := strings.Cut(option, "=")
	var list []string
	switch key {
	case "upperdir", "workdir":
		list = []string{value}
	case "lowerdir":
		if strings.ContainsAny(value, `\`) {
			return nil
		}
		list = strings.Split(value, ":")
	}
	return slices.DeleteFunc(list, func(p string) bool { return !path.IsAbs(p) })
}

// options judges the options that are the file system's.
func (j *judge) options(pointer string, i int, m specs.Mount) {
	for k, o := range m.Options {
		at := pointer + "/options/" + strconv.Itoa(k)
		if slices.Contains(j.OptionRefused[i], o) {
			j.refuse(at, "an option of "+m.Type, ErrKernel, "the option %q of %s", o, m.Type)
			continue
		}
		key, value, _ := strings.Cut(o, "=")
		id, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			continue
		}
		switch have := map[string][]Range{"uid": j.uids, "gid": j.gids}[key]; {
		case have != nil && !covered(have, Range{id, id}):
			j.refuse(at, "an id that is mapped ("+ranges(have)+"), or leave it out", ErrRange, "%s of a user namespace that does not map %d", o, id)
		}
	}
}

func (j *judge) cgroupMount(pointer string, m specs.Mount) {
	switch {
	case j.Control.Version == "none":
		j.refuse(pointer+"/type", "leave it out", ErrAbsent, "control groups")
	case m.Type == "cgroup2" && j.Control.Version == "v1":
		j.refuse(pointer+"/type", "cgroup", ErrAbsent, "the hierarchy of control groups v2")
	}
}
