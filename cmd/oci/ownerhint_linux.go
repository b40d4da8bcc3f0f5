package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
)

// usualRange is how many ids adduser grants a user, and firstUsual the first of them (login.defs(5),
// SUB_UID_COUNT and SUB_UID_MIN).
const usualRange, firstUsual = 65536, 100000

// ownerHint says exactly what to do when a file cannot be given its owner: "" for other errors.
func ownerHint(err error) string {
	var own *ownMapError
	if errors.As(err, &own) {
		if !rootless() {
			return "name ids that this user namespace has"
		}
		return grantHint(own.kind, own.id, own.count)
	}
	var o *unpack.OwnerError
	switch {
	case !errors.As(err, &o):
		return ""
	case o.Map != nil && !o.Userns:
		return fmt.Sprintf("a further --%s-map, such as %d:HOST:1, gives it an id; or --single-id keeps owners in xattrs", o.Kind, o.ID)
	case o.Map != nil && rootless():
		first, count := nextRange(o.Kind, o.Disk)
		return grantHint(o.Kind, first, count)
	case o.Map != nil:
		return "who made this user namespace can give it more ids; or --single-id keeps owners in xattrs"
	}
	return "--single-id keeps owners in xattrs"
}

// nextRange is a range that, granted after those that the user has, gives the user namespace its id last.
func nextRange(kind string, last uint32) (first, count uint32) {
	for _, r := range currentMap("/proc/self/" + kind + "_map") {
		if r.inside > 0 {
			last -= min(last, r.count)
		}
	}
	return freeRange(subordinateFile(kind)), max(usualRange, last)
}

func subordinateFile(kind string) string {
	if kind == "gid" {
		return subgidFile
	}
	return subuidFile
}

// grantHint names the line that gives the user the ids.
func grantHint(kind string, first, count uint32) string {
	uid, _, _ := strings.Cut(os.Getenv(envUserNamespace), ":")
	name := uid
	if u, err := user.LookupId(uid); err == nil {
		name = u.Username
	}
	hint := fmt.Sprintf("the line %s:%d:%d in %s gives you the id", name, first, count, subordinateFile(kind))
	if !haveMappers() {
		hint += ", with newuidmap and newgidmap (package uidmap), which are not installed"
	}
	return hint + "; or --single-id keeps owners in xattrs"
}

// freeRange is the first id of a file's kind that nobody was granted, and that is after all that someone was.
func freeRange(file string) uint32 {
	next := uint64(firstUsual)
	f, err := os.Open(file)
	if err != nil {
		return firstUsual
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(make([]byte, 0, maxSubordinateLine), maxSubordinateLine)
	for s.Scan() {
		fields := strings.Split(s.Text(), ":")
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil {
			next = max(next, first+count)
		}
	}
	return uint32(min(next, 1<<32-1))
}
