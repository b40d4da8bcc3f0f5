package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const (
	// MaxUserFile is the most that is read of /etc/passwd or /etc/group: 10 MiB. A hundred thousand
	// users take 6 MiB (CVE-2026-47262 was a file without end).
	MaxUserFile = 10 << 20
	// maxID is the highest id: 4294967295 is -1, which for setresuid(2) means "leave as it is".
	maxID = 1<<32 - 2
	// maxGroups is NGROUPS_MAX of Linux, the most that setgroups(2) takes.
	maxGroups = 65536
)

// Rootfs is where the image's files are read from.
type Rootfs interface {
	// Open opens a regular file by its path inside the root ("/etc/passwd"). Links are resolved
	// inside the root. A file that is not there is fs.ErrNotExist. Root is an implementation.
	Open(name string) (io.ReadCloser, error)
}

// users is the user database of the image.
type users struct {
	passwd, group []byte
	read          bool
}

// user resolves Config.User or the user's own, in the forms user, uid, user:group, uid:gid and the
// mixed ones. No user at all is uid 0 with the groups of its name, as Docker has it.
func (c *conversion) user() error {
	spelled, subject := c.img.Config.User, "config.User"
	if c.o.User != "" {
		spelled, subject = c.o.User, "--user"
	}
	if err := c.readUsers(); err != nil {
		return imageError(subject, spec.ConversionUser, err)
	}
	u, err := c.users.resolve(spelled, c.o.NumericGroups)
	if err != nil {
		if c.o.User != "" {
			return &UsageError{Flag: subject, Value: spelled, Err: err}
		}
		return imageError(subject, spec.ConversionUser, fmt.Errorf("%q: %w", spelled, err))
	}
	if err := c.checkMapped(&u); err != nil {
		return imageError(subject, spec.ConversionUser, fmt.Errorf("%q: %w", spelled, err))
	}
	if err := c.addGroups(&u); err != nil {
		return err
	}
	c.spec.Process.User = u
	return nil
}

// addGroups adds the groups of --group-add.
func (c *conversion) addGroups(u *specs.User) error {
	for _, g := range c.o.GroupAdd {
		gid, err := c.users.groupID(g)
		if err == nil && !c.mapped(c.gids, gid) {
			err = fmt.Errorf("%w: group %d", ErrUnmapped, gid)
		}
		if err != nil {
			return &UsageError{Flag: "--group-add", Value: g, Err: err}
		}
		u.AdditionalGids = appendNew(u.AdditionalGids, gid)
	}
	return nil
}

// checkMapped refuses a user that the user namespace does not have. Supplementary groups that it
// does not have are left out: they came from the image's files, and no file could carry them.
func (c *conversion) checkMapped(u *specs.User) error {
	if !c.mapped(c.uids, u.UID) {
		return fmt.Errorf("%w: user %d", ErrUnmapped, u.UID)
	}
	if !c.mapped(c.gids, u.GID) {
		return fmt.Errorf("%w: group %d", ErrUnmapped, u.GID)
	}
	single := c.o.Rootless && len(c.gids) <= 1 && (len(c.gids) == 0 || c.gids[0].Size == 1)
	if single {
		u.AdditionalGids = nil // setgroups(2) is denied in such a namespace (user_namespaces(7))
	}
	u.AdditionalGids = slices.DeleteFunc(u.AdditionalGids, func(g uint32) bool { return !c.mapped(c.gids, g) })
	return nil
}

// mapped reports whether the user namespace has the id; in the host's own it has every one.
func (c *conversion) mapped(maps []specs.LinuxIDMapping, id uint32) bool {
	if len(maps) == 0 {
		return !c.o.Rootless || id == 0
	}
	return slices.ContainsFunc(maps, func(m specs.LinuxIDMapping) bool {
		return id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size)
	})
}

// home is the home directory of the user, "/" if there is none: what a runtime would set too.
func (c *conversion) home() string {
	e, ok, _ := c.users.byID(c.spec.Process.User.UID)
	if !ok || e.home == "" || strings.ContainsRune(e.home, 0) {
		return "/"
	}
	return e.home
}

func (c *conversion) readUsers() (err error) {
	if c.rootfs == nil || c.users.read {
		return nil
	}
	c.users.read = true
	if c.users.passwd, err = readBounded(c.rootfs, "/etc/passwd"); err != nil {
		return err
	}
	c.users.group, err = readBounded(c.rootfs, "/etc/group")
	return err
}

func readBounded(r Rootfs, name string) ([]byte, error) {
	f, err := r.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUserFile, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxUserFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUserFile, name, err)
	}
	if len(data) > MaxUserFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrUserFile, name, MaxUserFile)
	}
	return data, nil
}

// resolve parses what a USER instruction holds.
func (db users) resolve(spelled string, numericGroups bool) (specs.User, error) {
	if strings.ContainsRune(spelled, 0) {
		return specs.User{}, fmt.Errorf("%w: NUL in a user", ErrInvalid)
	}
	name, group, hasGroup := strings.Cut(spelled, ":")
	e, numeric, err := db.userEntry(name)
	if err != nil {
		return specs.User{}, err
	}
	u := specs.User{UID: e.uid, GID: e.gid}
	if hasGroup && group != "" {
		u.GID, err = db.groupID(group)
		return u, err // a group given: no supplementary ones
	}
	if e.name == "" || numeric && !numericGroups {
		return u, nil
	}
	u.AdditionalGids, err = db.memberships(e)
	return u, err
}

// userEntry finds the user. What is spelled in digits is an id, even if a user has that name
// (CVE-2016-3697); an id need not be in the file.
func (db users) userEntry(name string) (e passwdEntry, numeric bool, err error) {
	if name == "" {
		e, _, err = db.byID(0)
		return e, false, err
	}
	id, numeric, err := parseID(name)
	switch {
	case err != nil:
		return passwdEntry{}, numeric, err
	case numeric:
		e, _, err = db.byID(id)
		e.uid = id
		return e, true, err
	}
	e, ok, err := db.byName(name)
	if err == nil && !ok {
		err = fmt.Errorf("%w: not in the image's /etc/passwd", ErrUnknownUser)
	}
	return e, false, err
}

func (db users) groupID(name string) (uint32, error) {
	if id, numeric, err := parseID(name); numeric || err != nil {
		return id, err
	}
	for line := range lines(db.group) {
		if g, ok := parseGroup(line); ok && g.name == name {
			return parseFileID(g.gid)
		}
	}
	return 0, fmt.Errorf("%w: not in the image's /etc/group", ErrUnknownGroup)
}

// memberships are the groups that initgroups(3) would set: the primary one first, so that a
// process cannot shed it (CVE-2022-36109), then those that list the user.
func (db users) memberships(e passwdEntry) ([]uint32, error) {
	gids := []uint32{e.gid}
	seen := map[uint32]bool{e.gid: true}
	for line := range lines(db.group) {
		g, ok := parseGroup(line)
		if !ok || !slices.Contains(strings.Split(g.members, ","), e.name) {
			continue
		}
		gid, err := parseFileID(g.gid)
		if err != nil {
			return nil, fmt.Errorf("group %q: %w", g.name, err)
		}
		if !seen[gid] {
			seen[gid] = true
			gids = append(gids, gid)
		}
		if len(gids) > maxGroups {
			return nil, fmt.Errorf("%w: more than %d groups", ErrUserFile, maxGroups)
		}
	}
	return gids, nil
}

// parseID reads an id. numeric is false for what is to be looked up as a name; a number that is
// out of range is never looked up (CVE-2024-40635, CVE-2026-46680).
func parseID(s string) (id uint32, numeric bool, err error) {
	if strings.TrimLeft(strings.TrimPrefix(s, "-"), "0123456789") != "" || s == "" || s == "-" {
		return 0, false, nil
	}
	id, err = parseFileID(s)
	return id, true, err
}

func parseFileID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxID {
		return 0, fmt.Errorf("%w: %q is not one of 0 to %d", ErrIDRange, s, uint32(maxID))
	}
	return uint32(n), nil
}

func appendNew(gids []uint32, gid uint32) []uint32 {
	if slices.Contains(gids, gid) {
		return gids
	}
	return append(gids, gid)
}
