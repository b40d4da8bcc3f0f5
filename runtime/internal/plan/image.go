//go:build linux

package plan

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The structures that steps point to, laid out as the kernel's headers do on 64-bit machines.

const (
	mountAttrSize = 32 // struct mount_attr: attr_set, attr_clr, propagation, userns_fd
	openHowSize   = 24 // struct open_how: flags, mode, resolve
)

func words(v ...uint64) []byte {
	b := make([]byte, 0, len(v)*8)
	for _, w := range v {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func record(kind, a uint32) []byte {
	b := make([]byte, RecordSize)
	binary.LittleEndian.PutUint32(b, kind)
	binary.LittleEndian.PutUint32(b[4:], a)
	return b
}

// mountAttr is a struct mount_attr (mount_setattr(2)).
func mountAttr(set, clr, propagation uint64) Arg {
	var parts []string
	if set != 0 {
		parts = append(parts, "set="+flagNames(set, mountAttrNames))
	}
	if clr != 0 {
		parts = append(parts, "clear="+flagNames(clr, mountAttrNames))
	}
	if propagation != 0 {
		parts = append(parts, "propagation="+flagNames(propagation, propagationNames))
	}
	return mem(words(set, clr, propagation, 0), "{"+strings.Join(parts, " ")+"}")
}

// openHow is a struct open_how (openat2(2)).
func openHow(flags, mode, resolve uint64) Arg {
	s := flagNames(flags|unix.O_CLOEXEC, openNames)
	if mode != 0 {
		s += fmt.Sprintf(" mode=%04o", mode)
	}
	if resolve != 0 {
		s += " resolve=" + flagNames(resolve, resolveNames)
	}
	return mem(words(flags|unix.O_CLOEXEC, mode, resolve), "{"+s+"}")
}

// flagName is the name of a bit, or of several.
type flagName struct {
	bits uint64
	name string
}

func mountAttrNames() []flagName {
	return []flagName{
		{unix.MOUNT_ATTR__ATIME, "ATIME"},
		{unix.MOUNT_ATTR_RDONLY, "RDONLY"},
		{unix.MOUNT_ATTR_NOSUID, "NOSUID"},
		{unix.MOUNT_ATTR_NODEV, "NODEV"},
		{unix.MOUNT_ATTR_NOEXEC, "NOEXEC"},
		{unix.MOUNT_ATTR_NOATIME, "NOATIME"},
		{unix.MOUNT_ATTR_STRICTATIME, "STRICTATIME"},
		{unix.MOUNT_ATTR_NODIRATIME, "NODIRATIME"},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, "NOSYMFOLLOW"},
	}
}

func propagationNames() []flagName {
	return []flagName{{unix.MS_PRIVATE, "private"}, {unix.MS_SLAVE, "slave"}, {unix.MS_SHARED, "shared"}, {unix.MS_UNBINDABLE, "unbindable"}}
}

func openNames() []flagName {
	return []flagName{
		{unix.O_PATH, "O_PATH"},
		{unix.O_CREAT, "O_CREAT"},
		{unix.O_EXCL, "O_EXCL"},
		{unix.O_RDWR, "O_RDWR"},
		{unix.O_WRONLY, "O_WRONLY"},
		{unix.O_DIRECTORY, "O_DIRECTORY"},
		{unix.O_NOFOLLOW, "O_NOFOLLOW"},
		{unix.O_NOCTTY, "O_NOCTTY"},
		{unix.O_CLOEXEC, "O_CLOEXEC"},
	}
}

func resolveNames() []flagName {
	return []flagName{
		{unix.RESOLVE_IN_ROOT, "IN_ROOT"},
		{unix.RESOLVE_BENEATH, "BENEATH"},
		{unix.RESOLVE_NO_MAGICLINKS, "NO_MAGICLINKS"},
		{unix.RESOLVE_NO_SYMLINKS, "NO_SYMLINKS"},
		{unix.RESOLVE_NO_XDEV, "NO_XDEV"},
	}
}

// flagNames spells v with names; what no name covers is shown in hexadecimal.
func flagNames(v uint64, names func() []flagName) string {
	var out []string
	for _, n := range names() {
		if v&n.bits == n.bits {
			out = append(out, n.name)
			v &^= n.bits
		}
	}
	if v != 0 || len(out) == 0 {
		out = append(out, fmt.Sprintf("%#x", v))
	}
	return strings.Join(out, "|")
}
