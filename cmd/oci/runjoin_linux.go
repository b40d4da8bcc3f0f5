package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/unpack"

	oci "github.com/oci-pipeline/oci/runtime"
)

// errForeignUserns is why a user who is not root cannot join the namespaces of another container.
var errForeignUserns = errors.New("the containers of a user who is not root have user namespaces of their own, and what belongs to one cannot be joined from another")

// namespaceOf gives the path of a namespace of a container that runs, or waits for its start.
func (a *app) namespaceOf(container string, kind specs.LinuxNamespaceType) (string, error) {
	pid, err := a.pidOf(container)
	if err != nil {
		return "", err
	}
	names := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.MountNamespace: "mnt"}
	name, ok := names[kind]
	if !ok {
		name = string(kind)
	}
	return fmt.Sprintf("/proc/%d/ns/%s", pid, name), nil
}

// pidOf gives the first process of a container that runs, or waits for its start.
func (a *app) pidOf(container string) (int, error) {
	if rootless() || os.Geteuid() != 0 {
		return 0, errForeignUserns
	}
	id, err := a.fullID(container)
	if err != nil {
		return 0, err
	}
	c, err := a.loadRunning(id)
	if err != nil {
		return 0, err
	}
	if s := c.Status(); s != specs.StateRunning && s != specs.StateCreated {
		return 0, &oci.Error{Op: "join", Subject: id, Err: oci.ErrNotRunning}
	}
	return c.Pid(), nil
}

// joins gives the container whose namespace a flag names.
func joins(flag string) (container string, ok bool) { return strings.CutPrefix(flag, "container:") }

// setIDs gives the container the ids that the flags ask for.
func (r *imageRun) setIDs(o *convert.Options) error {
	kept := strings.HasPrefix(o.Userns, "keep-id")
	if err := r.f.ids.userns(o); err != nil {
		return err
	}
	var err error
	if r.uids, r.gids, err = r.f.ids.here(); err != nil {
		return keepStatus(err)
	}
	if kept && singleID() {
		r.keptUIDs, r.keptGIDs, r.uids, r.gids = r.uids, r.gids, nil, nil
	}
	return r.joinUserns(*o)
}

// useIDs gives the conversion the ids of the container's user namespace.
func (r *imageRun) useIDs(o *convert.Options) {
	if rootless() {
		o.Userns = "host" // this process is where the container shall be
		useOwnMaps(o)
		if o.CgroupsPath == "" && o.CgroupParent == "" && cgroup2() {
			o.CgroupsPath = r.id // beside this process's own group, if that was delegated; the runtime says if not
		}
	}
	_, joined := joins(o.Userns)
	switch {
	case joined:
		o.UIDMappings, o.GIDMappings = specMaps(r.uids), specMaps(r.gids)
	case r.uids != nil:
		o.Userns, o.UIDMappings, o.GIDMappings = "private", specMaps(r.uids), specMaps(r.gids)
	case r.keptUIDs != nil:
		o.Userns, o.UIDMappings, o.GIDMappings = "private", specMaps(r.keptUIDs), specMaps(r.keptGIDs)
	}
}

// joinUserns takes over the ids of the user namespace of another container: the files are to be its.
func (r *imageRun) joinUserns(o convert.Options) error {
	container, ok := joins(o.Userns)
	if !ok {
		return nil
	}
	if r.uids != nil {
		return usageErrorf(nil, "--userns %s has ids of its own: --uid-map and --gid-map do not go with it", o.Userns)
	}
	pid, err := r.a.pidOf(container)
	if err != nil {
		return &convert.UsageError{Flag: "--userns", Value: o.Userns, Err: err}
	}
	r.uids, r.gids = mapsOf(pid, "uid_map"), mapsOf(pid, "gid_map")
	return nil
}

// mapsOf are the id maps of a process; nil where it has the ids of the host.
func mapsOf(pid int, file string) (maps []unpack.IDMap) {
	for _, m := range currentMap(fmt.Sprintf("/proc/%d/%s", pid, file)) {
		if m == (idMap{0, 0, 1<<32 - 1}) {
			return nil
		}
		maps = append(maps, unpack.IDMap{ContainerID: m.inside, HostID: m.outside, Size: m.count})
	}
	return maps
}

const shmDir = "/dev/shm"

// shareShm lets the container have the POSIX shared memory of the one whose IPC namespace it joins: a file system, which
// the namespace does not bring with it (shm_overview(7)). One that has none is done without.
func (r *imageRun) shareShm(o *convert.Options) error {
	container, ok := joins(o.IPC)
	if !ok {
		return nil
	}
	pid, err := r.a.pidOf(container)
	if err != nil {
		return &convert.UsageError{Flag: "--ipc", Value: o.IPC, Err: err}
	}
	mount, err := mountIn(pid, shmDir)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--ipc %s: %w", o.IPC, err)
	}
	r.mounts.shm = specs.Mount{Destination: shmDir, Type: "bind", Source: fmt.Sprintf("/proc/%d/root%s", pid, shmDir), Options: []string{"rbind", "nosuid", "noexec", "nodev"}}
	r.mounts.given[shmDir] = mount
	o.SpecMounts = append(o.SpecMounts, r.mounts.shm)
	return nil
}

// keepShm closes the shared memory again if the user has mounted something else there.
func (r *imageRun) keepShm() {
	shm := r.mounts.given[shmDir]
	for _, m := range r.spec.Mounts {
		if path.Clean(m.Destination) == shmDir && m.Source == r.mounts.shm.Source {
			return
		}
	}
	if shm != nil && r.mounts.shm.Source != "" {
		shm.Close() // a mount that was not needed
		delete(r.mounts.given, shmDir)
	}
}

// mountIn gives a detached copy of what is mounted at a path in the mount namespace of a process. A thread goes there for it and
// ends, as its root directory is another one then.
func mountIn(pid int, name string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		f, err := enterAndClone(pid, name)
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

func enterAndClone(pid int, name string) (*os.File, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns(2) asks for a root directory of the thread's own
		return nil, os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
