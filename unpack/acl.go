package unpack

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The xattrs in which the kernel keeps POSIX ACLs, and the PAX records in which star, GNU tar and
// libarchive write them as text (acl(5); star(5), SCHILY.acl.*).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default" // of directories: what is made in them inherits it

	paxACLAccess  = "SCHILY.acl.access"
	paxACLDefault = "SCHILY.acl.default"
	paxACLNFS4    = "SCHILY.acl.ace"
)

// Tags of the entries of an ACL in the kernel's form (include/uapi/linux/posix_acl_xattr.h), in the
// order in which it wants them.
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20

	aclVersion = 2
)

// aclEntry is one entry of an ACL.
type aclEntry struct {
	tag, perm uint16
	id        uint32 // of aclUser and aclGroup; else 2^32-1
}

// parseACL reads an ACL as text: entries as "user:NAME:rwx" between commas or newlines. star and
// libarchive add the id in a fourth field. A name without an id cannot be resolved: what names mean on
// this host says nothing about the image. simple tells that the mode of the file says it all.
func parseACL(text string) (value string, simple bool, err error) {
	var list []aclEntry
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		field, _, _ = strings.Cut(field, "#")
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(field, "default:"); ok {
			field = rest // getfacl's way to write a default ACL
		}
		e, err := parseACLEntry(field)
		if err != nil {
			return "", false, err
		}
		list = append(list, e)
	}
	if err := checkACL(list); err != nil {
		return "", false, err
	}
	return encodeACL(list), len(list) == 3, nil
}

func parseACLEntry(s string) (aclEntry, error) {
	f := strings.Split(s, ":")
	if len(f) == 2 && strings.HasPrefix("mask", f[0]) || len(f) == 2 && strings.HasPrefix("other", f[0]) {
		f = []string{f[0], "", f[1]} // as Solaris writes them
	}
	if len(f) < 3 || len(f) > 4 || f[0] == "" {
		return aclEntry{}, fmt.Errorf("%q is no entry of an ACL", s)
	}
	e := aclEntry{id: math.MaxUint32}
	named := f[1] != ""
	switch {
	case strings.HasPrefix("user", f[0]):
		e.tag = map[bool]uint16{false: aclUserObj, true: aclUser}[named]
	case strings.HasPrefix("group", f[0]):
		e.tag = map[bool]uint16{false: aclGroupObj, true: aclGroup}[named]
	case strings.HasPrefix("mask", f[0]) && !named:
		e.tag = aclMask
	case strings.HasPrefix("other", f[0]) && !named:
		e.tag = aclOther
	default:
		return aclEntry{}, fmt.Errorf("%q is no entry of an ACL", s)
	}
	for _, c := range f[2] {
		bit, ok := map[rune]uint16{'r': 4, 'w': 2, 'x': 1, '-': 0}[c]
		if !ok {
			return aclEntry{}, fmt.Errorf("%q has unknown permissions", s)
		}
		e.perm |= bit
	}
	if !named {
		return e, nil
	}
	id, err := strconv.ParseUint(f[len(f)-1], 10, 32)
	if len(f) == 3 {
		id, err = strconv.ParseUint(f[1], 10, 32)
	}
	if err != nil || id == math.MaxUint32 {
		return aclEntry{}, fmt.Errorf("%q names no id", s)
	}
	e.id = uint32(id)
	return e, nil
}

// checkACL sorts the entries as the kernel wants them, and refuses what it would (posix_acl_valid).
func checkACL(list []aclEntry) error {
	slices.SortFunc(list, func(a, b aclEntry) int {
		return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id))
	})
	count := map[uint16]int{}
	for i, e := range list {
		if i > 0 && e.tag == list[i-1].tag && e.id == list[i-1].id {
			return fmt.Errorf("an entry is there twice")
		}
		count[e.tag]++
	}
	if count[aclUserObj] != 1 || count[aclGroupObj] != 1 || count[aclOther] != 1 || count[aclUser]+count[aclGroup] > 0 && count[aclMask] == 0 {
		return fmt.Errorf("the entry of the owner, the group, the mask or others is missing")
	}
	return nil
}

func encodeACL(list []aclEntry) string {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range list {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// decodeACL reads the kernel's form; false if it is none.
func decodeACL(value string) ([]aclEntry, bool) {
	b := []byte(value)
	if len(b) < 4 || len(b)%8 != 4 || binary.LittleEndian.Uint32(b) != aclVersion {
		return nil, false
	}
	var list []aclEntry
	for b = b[4:]; len(b) > 0; b = b[8:] {
		list = append(list, aclEntry{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])})
	}
	return list, true
}

// decodeACLs adds the ACLs that PAX records carry as text, where no xattr says the same, to list.
func decodeACLs(list []xattr, records map[string]string, dir bool) (_ []xattr, odd []string) {
	if _, ok := records[paxACLNFS4]; ok {
		odd = append(odd, "an NFSv4 ACL is left out: Linux file systems have POSIX ACLs")
	}
	for _, r := range [...]struct{ record, name string }{{paxACLAccess, aclAccess}, {paxACLDefault, aclDefault}} {
		text, ok := records[r.record]
		if !ok || strings.TrimSpace(text) == "" || slices.ContainsFunc(list, func(x xattr) bool { return x.name == r.name }) {
			continue
		}
		value, simple, err := parseACL(text)
		switch {
		case err != nil:
			odd = append(odd, fmt.Sprintf("an ACL is left out: %v", err))
		case r.name == aclDefault && !dir:
			odd = append(odd, "a default ACL of what is no directory is left out")
		case r.name == aclAccess && simple: // the mode has it
		default:
			list = append(list, xattr{r.name, value})
		}
	}
	return list, odd
}

// ErrACL is an ACL that the kernel did not write.
var ErrACL = errors.New("it is malformed")

// MapACL gives an ACL, as an xattr has it, in which user and group have replaced the ids of users and groups. Their first
// error is returned as it is; ErrACL is what is no ACL.
func MapACL(value string, user, group func(id uint32) (uint32, error)) (string, error) {
	list, ok := decodeACL(value)
	if !ok {
		return "", ErrACL
	}
	for i, e := range list {
		replace := user
		switch e.tag {
		case aclUser:
		case aclGroup:
			replace = group
		default:
			continue
		}
		id, err := replace(e.id)
		if err != nil {
			return "", err
		}
		list[i].id = id
	}
	return encodeACL(list), nil
}

// errNamesUsers is an ACL where there is but one user.
var errNamesUsers = errors.New("it names users, and there is a single id")

// translateACL gives an ACL with the ids that they are on disk. skip says why it cannot be.
func (w *owners) translateACL(value string) (_, skip string, err error) {
	if !w.single && w.uids == nil && w.gids == nil {
		return value, "", nil
	}
	to := func(m []IDMap, kind string) func(uint32) (uint32, error) {
		return func(id uint32) (uint32, error) {
			if w.single {
				return 0, errNamesUsers
			}
			disk, err := mapID(m, id, kind)
			return uint32(disk), err
		}
	}
	mapped, err := MapACL(value, to(w.uids, "uid"), to(w.gids, "gid"))
	if err == ErrACL || err == errNamesUsers { //nolint:errorlint // they come from here as they are
		return "", err.Error(), nil
	}
	return mapped, "", err
}

// aclsOf gives the ACLs of an entry.
func aclsOf(e *entry) (list []xattr) {
	for _, x := range e.xattrs {
		if x.name == aclDefault || x.name == aclAccess {
			list = append(list, x)
		}
	}
	return list
}
