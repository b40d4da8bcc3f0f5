// Package runtime makes, starts, signals and removes containers from bundles (runtime-spec).
//
// A container is compiled, then executed: package plan turns the configuration into a list of
// system calls, package launch executes the list in a process that has no Go runtime. This package
// is what surrounds that: the state directory, the cgroup, the hooks, the terminal, and the
// operations of runtime.md.
//
// # Operations
//
// Create does everything but the program itself; the process waits. Start lets it go. A container
// may be started by another process than the one that created it: what they need to speak with the
// waiting process are two FIFOs in the state directory. Where one process does both (Attached),
// two pipes do, and no FIFO exists.
//
// # Mounts
//
// Most mounts are made by the list of system calls. Two kinds are made here, attached nowhere, and handed
// on: idmapped mounts, as the container's process may have given up its rights over the file system of the
// source for a user namespace; and a tmpfs with tmpcopyup, as files are copied into it. The caller can hand
// on mounts of its own (CreateOptions.Mounts). What tmpcopyup copies is what the root file system has at the
// destination, not what an earlier mount put there.
//
// # State
//
// <root>/<id>/ holds state.json, written once and complete, before Create returns, and the FIFOs.
// The status is never stored, it is asked: of the kernel, whether the process with the recorded id
// and start time lives, and of the directory, whether start.fifo still exists. A crash at any point
// leaves either no state.json, and then the directory is removed by the next operation on it, or a
// true one. A lock (flock on the directory) keeps operations on one container apart.
//
// # What is refused
//
// A configuration that plan refuses; an id that is no file name; a second container of the same id;
// to start what is not created, to signal what is stopped, to delete what runs, unless forced.
//
// Nothing here waits without an end: a wait for the container's process ends with that process.
package runtime
