//go:build linux

package plan

import (
	"strings"

	"golang.org/x/sys/unix"
)

// mountOptions are the options of one mount, sorted by what has to be done about them.
type mountOptions struct {
	bind, recursive bool
	set, clr        uint64 // MOUNT_ATTR_*
	rset, rclr      uint64 // the same for the whole tree (rro, rnosuid, ...)
	propagation     uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0
	propagationTree bool
	superblock      []string // flags of the file system: sync, dirsync, mand, lazytime, iversion, silent
	data            []string // key or key=value
	remount         bool
	idmap, ridmap   bool // ids are those of mappings, for the mount or for its whole tree
	copyUp          bool // a tmpfs that begins with what it covers
}

// parseMountOptions sorts options as config.md, Linux mount options, defines them; later ones win.
func parseMountOptions(options []string) mountOptions {
	var o mountOptions
	for _, s := range options {
		o.add(s)
	}
	return o
}

func (o *mountOptions) add(s string) {
	if set, clr, ok := attrOption(s); ok {
		o.set = o.set&^clr | set
		o.clr = o.clr&^set | clr
		return
	}
	if rest, tree := strings.CutPrefix(s, "r"); tree {
		if set, clr, ok := attrOption(rest); ok {
			o.rset = o.rset&^clr | set
			o.rclr = o.rclr&^set | clr
			return
		}
	}
	if p := propagationOption(strings.TrimPrefix(s, "r")); p != 0 && s != "r" {
		o.propagation, o.propagationTree = p, strings.HasPrefix(s, "r")
		return
	}
	switch s {
	case "defaults", "nosync", "async", "nolazytime", "nomand", "noiversion", "loud", "":
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "sync", "dirsync", "mand", "lazytime", "iversion", "silent":
		o.superblock = append(o.superblock, s)
	case "remount":
		o.remount = true
	case "idmap":
		o.idmap, o.ridmap = true, false
	case "ridmap":
		o.idmap, o.ridmap = true, true
	case "tmpcopyup":
		o.copyUp = true
	default:
		o.data = append(o.data, s)
	}
}

// attrOption is one option that is an attribute of the mount, not of the file system. An atime option clears the others of its field,
// as mount_setattr(2) wants.
func attrOption(s string) (set, clr uint64, ok bool) {
	switch s {
	case "ro":
		return unix.MOUNT_ATTR_RDONLY, 0, true
	case "rw":
		return 0, unix.MOUNT_ATTR_RDONLY, true
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID, 0, true
	case "suid":
		return 0, unix.MOUNT_ATTR_NOSUID, true
	case "nodev":
		return unix.MOUNT_ATTR_NODEV, 0, true
	case "dev":
		return 0, unix.MOUNT_ATTR_NODEV, true
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC, 0, true
	case "exec":
		return 0, unix.MOUNT_ATTR_NOEXEC, true
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME, true
	case "relatime", "atime", "nostrictatime":
		return 0, unix.MOUNT_ATTR__ATIME, true
	case "norelatime", "strictatime":
		return unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME, true
	case "nodiratime":
		return unix.MOUNT_ATTR_NODIRATIME, 0, true
	case "diratime":
		return 0, unix.MOUNT_ATTR_NODIRATIME, true
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, 0, true
	case "symfollow":
		return 0, unix.MOUNT_ATTR_NOSYMFOLLOW, true
	}
	return 0, 0, false
}

func propagationOption(s string) uint64 {
	switch s {
	case "private":
		return unix.MS_PRIVATE
	case "shared":
		return unix.MS_SHARED
	case "slave":
		return unix.MS_SLAVE
	case "unbindable":
		return unix.MS_UNBINDABLE
	}
	return 0
}
