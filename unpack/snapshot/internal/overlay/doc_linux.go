// Package overlay mounts stacks of directories with overlayfs, attached nowhere.
//
// Kernels take the list of layers in three ways, of which the first that works is used:
//
//   - lowerdir+ (Linux 6.5), once for each layer: no bound but overlayfs's own of 500 ([MaxLayers]);
//   - lowerdir as one string of fsconfig(2) (Linux 5.2): 255 bytes;
//   - mount(2): one page for all options.
//
// In the latter two each layer is named by the number of a descriptor, relative to /proc/self/fd, so that a page
// is enough for 500 layers at any path. The working directory for that is one of a thread of its own, which ends
// with the call. No name of a directory is ever parsed by the kernel there, so that commas, colons and
// backslashes have no meaning; where a name is passed it is escaped or replaced.
//
// # Id maps
//
// With maps the layers are shown through idmapped mounts (Linux 5.12; as layers of an overlay 5.19): a file that belongs to
// an id of the image on disk belongs, in the mount, to the id of the host that the map says. So one layer
// directory serves containers in different user namespaces. The mounts are made in a mount namespace that
// only the calling thread has, each over the directory that it shows, so that every way to mount finds
// them, on every kernel: overlayfs takes layers from detached mounts only since Linux 6.14. Overlayfs keeps private copies of
// the mounts, and the namespace is gone with the thread.
//
// The upper directory is not mapped: what the container writes belongs on disk to ids of the host, in its
// quota too, and a set-uid file among it to no privileged one. (Mapped, overlayfs could not make its own files
// in it, which belong to the id 0 of the mounter: EOVERFLOW.)
//
// # What it is not
//
// It does not fall back: what to do where overlayfs is not to be had is decided by who calls it
// (see [Unavailable]).
package overlay
