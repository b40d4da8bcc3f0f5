package host

import (
	"errors"
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kinds of lack. The Err of each Finding wraps one of them.
var (
	ErrKernel     = errors.New("not in this kernel")
	ErrOff        = errors.New("switched off here")
	ErrPrivilege  = errors.New("not permitted to this caller")
	ErrAbsent     = errors.New("not on this machine")
	ErrKind       = errors.New("of the wrong kind")
	ErrRange      = errors.New("out of the range that the kernel takes here")
	ErrNoAnswer   = errors.New("no answer from the file system")
	ErrNoEffect   = errors.New("without effect here")
	ErrNamespaced = errors.New("not of a namespace of the container")
)

// Effect is what comes of a lack.
type Effect string

// What comes of a lack.
const (
	Refused Effect = "refused" // the container does not start
	Changed Effect = "changed" // it starts, and what the config says does not hold; or runtimes differ
)

// Finding is something that a config asks for and a host does not have.
type Finding struct {
	Pointer string // JSON pointer (RFC 6901) into config.json
	Effect  Effect
	Err     error  // what is lacking; wraps one of the kinds above
	Hint    string // what to do instead
}

// Error gives "pointer: why [host: refused]".
func (f Finding) Error() string {
	return f.Pointer + ": " + f.Err.Error() + " [host: " + string(f.Effect) + "]"
}

// Unwrap gives the lack.
func (f Finding) Unwrap() error { return f.Err }

// maxFindings bounds what is told: a config may have 100,000 mounts.
const maxFindings = 1000

// Judge tells what of a config the host that the facts describe cannot do, in the order of the
// config's sections; at most 1000 findings. A config that breaks its specification is judged as far as it goes.
// It does no I/O.
func Judge(s *specs.Spec, facts Facts) []Finding {
	if s == nil {
		return nil
	}
	j := &judge{Facts: facts, s: s, linux: s.Linux, kinds: map[specs.LinuxNamespaceType]specs.LinuxNamespace{}, covers: map[string]int{}}
	if j.linux == nil {
		j.linux = &specs.Linux{}
	}
	for _, n := range j.linux.Namespaces {
		if _, twice := j.kinds[n.Type]; !twice {
			j.kinds[n.Type] = n
		}
	}
	j.uids, j.gids = facts.UIDs, facts.GIDs
	if n, ok := j.namespace(specs.UserNamespace); ok && n.Path == "" {
		j.uids, j.gids = insides(j.linux.UIDMappings), insides(j.linux.GIDMappings)
	} else if ok {
		j.uids, j.gids = nil, nil // those of the namespace that is joined are not known
	}
	for i, m := range s.Mounts {
		at := path.Clean("/" + m.Destination)
		if _, twice := j.covers[at]; !twice {
			j.covers[at] = i
		}
		j.devBound = j.devBound || at == "/dev" && isBind(m)
	}
	for _, check := range []func(*judge){
		(*judge).root, (*judge).program, (*judge).terminal, (*judge).user, (*judge).capabilities, (*judge).rlimits,
		(*judge).oomScore, (*judge).scheduler, (*judge).ioPriority, (*judge).affinity, (*judge).labels,
		(*judge).mounts, (*judge).hooks, (*judge).namespaces, (*judge).mappings, (*judge).timeOffsets,
		(*judge).devices, (*judge).netDevices, (*judge).resources, (*judge).seccomp, (*judge).sysctls,
		(*judge).memoryPolicy, (*judge).intelRdt, (*judge).personality,
	} {
		check(j)
	}
	return j.found
}

// judge is one judgement.
type judge struct {
	Facts
	s     *specs.Spec
	linux *specs.Linux
	found []Finding

	kinds    map[specs.LinuxNamespaceType]specs.LinuxNamespace // the first of each type
	covers   map[string]int                                    // the first mount at each place
	devBound bool                                              // /dev is one of the host

	uids, gids []Range // that the container has; nil: unknown
}

func (j *judge) add(pointer string, effect Effect, hint string, kind error, format string, args ...any) {
	if len(j.found) < maxFindings {
		j.found = append(j.found, Finding{pointer, effect, fmt.Errorf(format+": %w", append(args, kind)...), hint})
	}
}

// refuse adds a finding that keeps the container from starting.
func (j *judge) refuse(pointer, hint string, kind error, format string, args ...any) {
	j.add(pointer, Refused, hint, kind, format, args...)
}

// change adds a finding with which the container starts.
func (j *judge) change(pointer, hint string, kind error, format string, args ...any) {
	j.add(pointer, Changed, hint, kind, format, args...)
}

// namespace gives the entry of a type, and whether the container has one, new or joined.
func (j *judge) namespace(t specs.LinuxNamespaceType) (specs.LinuxNamespace, bool) {
	n, ok := j.kinds[t]
	return n, ok
}

// fresh tells whether the container gets a new namespace of that type.
func (j *judge) fresh(t specs.LinuxNamespaceType) bool {
	n, ok := j.namespace(t)
	return ok && n.Path == ""
}

// mapped tells whether the container's process will be in a user namespace below the machine's first one.
func (j *judge) mapped() bool {
	_, ok := j.namespace(specs.UserNamespace)
	return ok || j.InUserNamespace
}

// has tells whether the caller has a capability where it counts for the whole machine: in the first
// user namespace, and for the container's process too, which loses it to a namespace of its own.
func (j *judge) has(capability int) bool { return j.holds(capability) && !j.mapped() }

// holds tells whether the caller has a capability in its own user namespace.
func (j *judge) holds(capability int) bool { return j.Effective&(1<<capability) != 0 }
