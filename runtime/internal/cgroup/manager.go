package cgroup

import (
	"context"
	"os"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Manager is the group of one container, in every hierarchy of the machine. It is used by one
// goroutine at a time.
type Manager interface {
	// Create makes the group. ErrNotEmpty or ErrFrozen if it is another's.
	Create(ctx context.Context) error
	// Apply writes the limits that r asks for; what is nil in r stays. Also for a running container.
	Apply(r *specs.LinuxResources) error
	// Enter calls f in such a way that a process which f clones, with CLONE_INTO_CGROUP and DirFD
	// if that is not nil, is in the group in all hierarchies; it needs no Join. f runs on the
	// thread of the caller, which on v1 is a member meanwhile: not for a frozen group.
	Enter(f func() error) error
	// Join moves a process into the group, in all hierarchies.
	Join(pid int) error
	// DirFD opens the directory in cgroup2, for the caller to close; nil, nil if there is none.
	DirFD() (*os.File, error)
	// Pids are the processes in the group and in all groups below, as seen from this pid namespace.
	Pids() ([]int, error)
	// Kill sends SIGKILL to all of them, and lets frozen ones go, so that they die.
	Kill() error
	// Freeze stops all of them and returns when they are stopped; Thaw lets them go on.
	Freeze() error
	Thaw() error
	// Frozen says whether Freeze was called, by whomever.
	Frozen() (bool, error)
	// Stats reads what the container has used.
	Stats() (Stats, error)
	// Chown gives the group to the container's root user, who then may make groups below (v2 only).
	Chown(uid int) error
	// Paths are the directories: "" for cgroup2, the controller or "name=X" for v1.
	Paths() map[string]string
	// Delete removes the group and all groups below. It waits for processes that are exiting.
	Delete(ctx context.Context) error
}

// Options are choices for New.
type Options struct {
	// IgnorePermission makes a Manager that does without a group that it may not create, as an
	// unprivileged user's container must, until a limit is asked for.
	IgnorePermission bool
}

// Stats is what a container has used. A value is zero where the controller is not there.
type Stats struct {
	CPUUsage, CPUUser, CPUSystem             uint64 // nanoseconds
	CPUPeriods, CPUThrottled, CPUThrottledNS uint64
	MemoryUsage, MemoryPeak, MemoryLimit     uint64 // bytes; limit 0: none
	MemoryCache, MemoryInactiveFile          uint64 // bytes of page cache
	SwapUsage                                uint64 // bytes
	OOMKills                                 uint64
	Pids, PidsLimit                          uint64 // limit 0: none
	ReadBytes, WriteBytes, ReadOps, WriteOps uint64
}

// group is the group of a container in one v1 hierarchy.
type group struct {
	hierarchy
	dir string
}

func (g group) has(controller string) bool { return slices.Contains(g.controllers, controller) }

// place gives the directories for a cgroupsPath, as runc's cgroupfs driver chooses them.
func place(l Layout, cgroupsPath, id string) (unified string, v1 []group, err error) {
	if cgroupsPath == "" {
		cgroupsPath = id
	}
	inner := path.Clean("/" + cgroupsPath) // cleaned as absolute, ".." cannot lead out
	if inner == "/" {
		return "", nil, &Error{Op: "place cgroup", Subject: cgroupsPath, Clause: spec.RuntimeCgroupsPath, Err: ErrPath}
	}
	relative := cgroupsPath[0] != '/'
	for _, h := range l.v1 {
		g := group{hierarchy: h, dir: h.mount + inner}
		if relative {
			g.dir = h.own + inner
		}
		v1 = append(v1, g)
	}
	if h := l.unified; h.mount != "" {
		unified = h.mount + inner
		if relative && h.own != h.mount {
			unified = h.own + inner
			if len(v1) == 0 {
				unified = path.Join(path.Dir(h.own), inner)
			}
		}
	}
	return unified, v1, nil
}
