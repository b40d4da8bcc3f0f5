package convert

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// passwdEntry is a line of /etc/passwd (passwd(5)): name:password:uid:gid:gecos:home:shell.
type passwdEntry struct {
	name     string // "" if there is no line for the user
	uid, gid uint32
	home     string
}

// groupEntry is a line of /etc/group (group(5)): name:password:gid:member,member.
type groupEntry struct{ name, gid, members string }

// byName finds the first line of that name. An id there that is no id is an error, as the line is
// the one that was asked for; elsewhere such lines are skipped.
func (db users) byName(name string) (passwdEntry, bool, error) {
	for line := range lines(db.passwd) {
		f := strings.SplitN(line, ":", 7)
		if f[0] == name && len(f) >= 4 {
			e, err := parsePasswd(f)
			return e, true, err
		}
	}
	return passwdEntry{}, false, nil
}

// byID finds the first line with that user id.
func (db users) byID(uid uint32) (passwdEntry, bool, error) {
	for line := range lines(db.passwd) {
		f := strings.SplitN(line, ":", 7)
		if len(f) < 4 {
			continue
		}
		if id, err := parseFileID(f[2]); err == nil && id == uid {
			e, err := parsePasswd(f)
			return e, true, err
		}
	}
	return passwdEntry{}, false, nil
}

func parsePasswd(f []string) (passwdEntry, error) {
	e := passwdEntry{name: f[0]}
	var err error
	if e.uid, err = parseFileID(f[2]); err != nil {
		return e, fmt.Errorf("/etc/passwd: user %q: %w", f[0], err)
	}
	if e.gid, err = parseFileID(f[3]); err != nil {
		return e, fmt.Errorf("/etc/passwd: group of %q: %w", f[0], err)
	}
	if len(f) > 5 {
		e.home = f[5]
	}
	return e, nil
}

func parseGroup(line string) (groupEntry, bool) {
	f := strings.SplitN(line, ":", 4)
	if len(f) < 3 {
		return groupEntry{}, false
	}
	g := groupEntry{name: f[0], gid: f[2]}
	if len(f) == 4 {
		g.members = f[3]
	}
	return g, true
}

// lines yields the lines that are neither empty nor comments, without surrounding white space.
func lines(data []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for l := range bytes.Lines(data) {
			l = bytes.TrimSpace(l)
			if len(l) == 0 || l[0] == '#' {
				continue
			}
			if !yield(string(l)) {
				return
			}
		}
	}
}
