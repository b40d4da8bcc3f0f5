package bundle

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Platform is one of those that runtime-spec has a section of config.json for.
type Platform string

// The platforms of config.md#platform-specific-configuration.
const (
	Linux   Platform = "linux"
	Windows Platform = "windows"
	Solaris Platform = "solaris"
	VM      Platform = "vm"
	FreeBSD Platform = "freebsd"
	ZOS     Platform = "zos"
)

// Platforms are all of them.
func Platforms() []Platform { return []Platform{Linux, Windows, Solaris, VM, FreeBSD, ZOS} }

// PlatformOf is the platform that the sections of a config are for: linux if it has that one, whatever
// stands beside it (a Linux container in a virtual machine, or under Windows), and if it has none.
func PlatformOf(s *specs.Spec) Platform {
	for _, p := range []Platform{Linux, Windows, Solaris, FreeBSD, ZOS, VM} {
		if section(s, p) {
			return p
		}
	}
	return Linux
}

func section(s *specs.Spec, p Platform) bool {
	switch p {
	case Windows:
		return s.Windows != nil
	case Solaris:
		return s.Solaris != nil
	case VM:
		return s.VM != nil
	case FreeBSD:
		return s.FreeBSD != nil
	case ZOS:
		return s.ZOS != nil
	}
	return s.Linux != nil
}

// Verdict is what Judge found.
type Verdict struct {
	Spec     *specs.Spec // what could be decoded; properties of the wrong type are absent
	Platform Platform    // by whose rules it was judged
	Problems Problems    // in the order of their pointers
}

// Judge gives every problem of a config.json at once, those of level SHOULD and MAY too. Where Decode
// stops at the first value of the wrong type or key that occurs twice, Judge notes it and goes on as if
// the value were absent; only text that is no JSON, or is beyond the bounds of Decode, ends it. The
// empty Platform is that of the sections (PlatformOf). Problems of level MUST are found exactly in what
// Load refuses.
func Judge(raw []byte, p Platform) Verdict {
	n, s := new(notes), new(specs.Spec)
	d := &decoder{scanner: scanner{data: raw, notes: n}, layouts: make(layouts)}
	err := error(nil)
	if len(raw) > MaxConfigSize {
		err = &Problem{Clause: spec.BundleJSON, Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxConfigSize)}
	} else {
		err = d.document(reflect.ValueOf(s).Elem())
	}
	if p == "" {
		p = PlatformOf(s)
	}
	v := Verdict{Spec: s, Platform: p, Problems: n.problems}
	var stop *Problem
	if errors.As(err, &stop) {
		v.Problems = append(v.Problems, stop)
		slices.SortStableFunc(v.Problems, byPointer)
		return v // what follows in the text is unknown: it is not missing
	}
	r := &report{s: s, platform: p}
	r.musts()
	r.advice()
	r.versions(append(n.newer, newerValues(s)...))
	if p == Windows { // has users by name
		v.Problems = slices.DeleteFunc(v.Problems, func(q *Problem) bool { return q.Clause == spec.ProcessUserIDs })
	}
	for _, q := range r.problems {
		if !slices.ContainsFunc(n.wrong, func(at string) bool { return q.Pointer == at || strings.HasPrefix(q.Pointer, at+"/") }) {
			v.Problems = append(v.Problems, q)
		}
	}
	slices.SortStableFunc(v.Problems, byPointer)
	return v
}

// JudgeDir is Judge for the bundle in dir, and asks for the root directory as Load does. The error, an
// *Error, says that there is no config.json to judge.
func JudgeDir(dir string, p Platform) (Verdict, error) {
	raw, err := ReadFile(filepath.Join(dir, ConfigName))
	if err != nil {
		return Verdict{}, &Error{Op: "judge bundle", Subject: dir, Clause: spec.BundleConfigFile, Err: err}
	}
	v := Judge(raw, p)
	if abs, err := filepath.Abs(dir); err == nil {
		b := Bundle{Dir: abs, Spec: v.Spec}
		if q := b.checkRoot(); q != nil && v.Platform != Windows {
			v.Problems = append(v.Problems, q)
			slices.SortStableFunc(v.Problems, byPointer)
		}
	}
	return v, nil
}

// versions notes what is newer than the version that the config claims: a runtime of that version ignores it.
func (r *report) versions(used []newer) {
	claimed, ok := minor(r.s.Version)
	if !ok {
		return
	}
	if latest, _ := minor(specs.Version); !before(claimed, [2]uint64{latest[0] + 1}) {
		r.add("/ociVersion", spec.ConfigNewer, "at most 1.3.0", ErrInvalid, "%s is newer than the rules known here, 1.3; what it added is not judged", r.s.Version)
	}
	for _, n := range used {
		if since, _ := minor(n.since); before(claimed, since) {
			r.add(n.pointer, spec.ConfigNewer, "ociVersion "+n.since, ErrInvalid, "runtime-spec has it since %s, and the config claims %s", n.since, r.s.Version)
		}
	}
}

// newerValues are words that came after 1.0, in properties that 1.0 has.
func newerValues(s *specs.Spec) []newer {
	var list []newer
	for i, m := range s.Mounts {
		for j, o := range m.Options {
			if o == "idmap" || o == "ridmap" {
				list = append(list, newer{at(at("/mounts", i, "/options"), j, ""), "1.2.0"})
			}
		}
	}
	if s.Linux == nil {
		return list
	}
	for i, n := range s.Linux.Namespaces {
		if n.Type == specs.TimeNamespace {
			list = append(list, newer{at("/linux/namespaces", i, "/type"), "1.1.0"})
		}
	}
	p := s.Linux.Seccomp
	if p == nil {
		return list
	}
	if newAction(p.DefaultAction) {
		list = append(list, newer{"/linux/seccomp/defaultAction", "1.1.0"})
	}
	for i, c := range p.Syscalls {
		if newAction(c.Action) {
			list = append(list, newer{at("/linux/seccomp/syscalls", i, "/action"), "1.1.0"})
		}
	}
	return list
}

// minor gives the second and the third number of a version that checkVersion accepts.
func minor(v string) ([2]uint64, bool) {
	if checkVersion(v) != nil {
		return [2]uint64{}, false
	}
	core, _, _ := strings.Cut(v, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	second, _ := strconv.ParseUint(parts[1], 10, 32) // checked above
	third, _ := strconv.ParseUint(parts[2], 10, 32)
	return [2]uint64{second, third}, true
}

func before(a, b [2]uint64) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

// byPointer orders problems as one reads.
func byPointer(a, b *Problem) int { return spec.ComparePointers(a.Pointer, b.Pointer) }
