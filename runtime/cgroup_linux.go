package runtime

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/cgroup"
	"github.com/oci-pipeline/oci/runtime/internal/launch"
	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// cgroup makes the container's cgroup.
func (c *creation) cgroup(ctx context.Context) error {
	if c.rt.noCgroups {
		return nil
	}
	m, err := c.placeCgroup()
	if err != nil {
		return err
	}
	// Recorded before it exists, so that nothing is lost if this process is killed in between.
	c.state.Cgroups = m.Paths()
	if err := writeRecord(c.dir, &c.state); err != nil {
		return err
	}
	if err := m.Create(ctx); err != nil {
		return err
	}
	if c.rootless() && !anyExists(m.Paths()) {
		c.state.Cgroups = nil // there is none: it may not be made, and nothing asks for it
	} else {
		c.live.manager = m
	}
	c.host.Hierarchies = hierarchies(m.Paths()) // without those that it may do without
	return nil
}

// placeCgroup says where the container's cgroup is to be, and tells the plan. It makes nothing.
func (c *creation) placeCgroup() (cgroup.Manager, error) {
	layout, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	cgroupsPath := ""
	if c.Spec.Linux != nil {
		cgroupsPath = c.Spec.Linux.CgroupsPath
	}
	m, err := cgroup.New(layout, cgroupsPath, c.CreateOptions.ID, cgroup.Options{IgnorePermission: c.rootless()})
	if err != nil {
		return nil, err
	}
	c.host.CgroupV2 = layout.Version() == "v2"
	c.host.Hierarchies = hierarchies(m.Paths())
	return m, nil
}

func (c *creation) rootless() bool { return os.Geteuid() != 0 || c.host.InUserNamespace }

func anyExists(paths map[string]string) bool {
	for _, p := range paths {
		if unix.Access(p, unix.F_OK) == nil {
			return true
		}
	}
	return false
}

// hierarchies are the v1 hierarchies among the paths of a cgroup: controllers that share a directory are mounted together.
func hierarchies(paths map[string]string) []plan.Hierarchy {
	byPath := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if name != "" {
			byPath[paths[name]] = append(byPath[paths[name]], name)
		}
	}
	var out []plan.Hierarchy
	for path, names := range byPath {
		data := strings.Join(names, ",")
		out = append(out, plan.Hierarchy{Name: strings.TrimPrefix(data, "name="), Data: data, Path: path})
	}
	slices.SortFunc(out, func(a, b plan.Hierarchy) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// enter starts the process in the cgroup.
func (c *creation) enter(req launch.Request) error {
	start := func() error {
		var err error
		c.live.proc, err = launch.Start(req)
		return err
	}
	if c.live.manager == nil {
		return start()
	}
	dir, err := c.live.manager.DirFD()
	if err != nil {
		return err
	}
	if dir != nil {
		defer dir.Close() // a directory
		req.CgroupFD = int(dir.Fd())
	}
	return c.live.manager.Enter(start)
}

// limits are written while the process makes its mounts; it does not go on to the program without them.
func (c *creation) limits(context.Context) error {
	r := c.resources()
	if r == nil {
		return nil
	}
	other := *r
	other.Devices = nil
	if c.live.manager == nil {
		if reflect.ValueOf(other).IsZero() {
			return nil
		}
		return fmt.Errorf("%w: limits need a cgroup, and none may be made here", ErrConfig)
	}
	return c.live.manager.Apply(&other)
}

// deviceRules come last: the process has to make its device nodes first, and the rules may forbid that.
func (c *creation) deviceRules() error {
	r := c.resources()
	if r == nil || len(r.Devices) == 0 || c.live.manager == nil {
		return nil
	}
	return c.live.manager.Apply(&specs.LinuxResources{Devices: r.Devices})
}

func (c *creation) resources() *specs.LinuxResources {
	if c.Spec.Linux == nil {
		return nil
	}
	return c.Spec.Linux.Resources
}

// manager works on the cgroup of an existing container; nil if it has none.
func (c *Container) manager() cgroup.Manager {
	if c.live != nil && c.live.manager != nil {
		return c.live.manager
	}
	if len(c.state.Cgroups) == 0 {
		return nil
	}
	return cgroup.Load(c.state.Cgroups)
}
