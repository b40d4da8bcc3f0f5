// Package cgroup gives a container its control groups by writing to cgroupfs, on machines with
// cgroup v1, v2 or both (hybrid). It implements runtime-spec config-linux.md#control-groups. The
// systemd driver is another package; it makes a Manager for the paths that systemd chose by Load.
//
// # Promises
//
//   - An absolute cgroupsPath is taken below each hierarchy's mount point; a relative one, or the
//     container's ID if there is none, below the caller's own group (in v2: beside it, because a
//     group with processes can have no controllers for its children). No path leads out.
//   - The group is made in every hierarchy, also without limits: freezing and killing need it. Only
//     files of limits that are asked for are written. A group that exists and has processes, or is
//     frozen, is refused; missing parents are made, and on v1 get the parent's cpuset.
//   - A limit that the machine cannot keep is an error, never left out: a missing controller, a
//     value of the one version that the other cannot express, unified on v1.
//   - Device rules are applied in their order, followed by the devices that every container has;
//     without a rule nothing is restricted. On v2 they are a BPF program, which decides each of
//     read, write and mknod by the last rule for it.
//   - Kill reaches every process below the group, also those in groups that the container made.
//   - Delete removes the group with all below, and waits only while processes are still exiting.
//   - With Options.IgnorePermission (rootless) a group that may not be made is done without, and it
//     is an error only if a limit was asked for.
//
// # Joining without waiting
//
// Writing a pid to cgroup.procs takes a lock that waits for an RCU grace period: 8 ms at the
// median for the first write after a pause, here on Linux 6.18, which is more than all other
// work of a start. Enter does without: on v2 the child is cloned into DirFD; on v1 the calling
// thread writes 0 to "tasks", which takes no such lock, clones the child there, and goes back: 0.2 ms
// for nine hierarchies. Join is the plain way, for a process that exists.
//
// # Why not opencontainers/cgroups
//
// Linking v0.1.0 with its manager and devices packages (logrus, dbus, cilium/ebpf and net come along)
// raises the package initialisers of an empty program from 3 to 59, their time from about 0.1 to
// 0.35 ms by GODEBUG=inittrace=1, and its size from 1.8 to 5.0 MB, before anything is done; its
// probing and its joining by cgroup.procs come on top of that in each start.
package cgroup
