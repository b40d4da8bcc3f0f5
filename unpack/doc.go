// Package unpack turns the layers of an image into files: layer blobs in, a root filesystem out.
//
// One pass over each blob does everything: blob reader, digest of the blob, decompression, digest
// of the tar (DiffID), tar parser, files, and the tar-split log from which the tar can be rebuilt
// bit for bit. The stages are a few goroutines joined by a fixed number of reused buffers, so
// memory does not grow with the image. A blob is read to its very end, also past the end-of-archive
// marker, since the digests cover all of it.
//
// # Two forms
//
// Merged applies the layers in order to one directory, which then is the root filesystem.
// Overlay applies one layer by itself to its own directory, in the form that overlayfs wants for a
// lower layer: a whiteout is a character device 0/0, an opaque directory carries the xattr
// trusted.overlay.opaque (user.overlay.opaque with [Options.UserXattr]). Both forms give the same
// tree. What a layer by itself cannot say, because it depends on the layers below, is reported in
// [LayerResult] and settled by package snapshot: the attributes of directories that the layer
// passes through without an entry of their own, hardlinks to files of lower layers, and an opaque root.
//
// # What it promises
//
//   - [Unpack] returns a Rootfs only if the digest and size of each blob and the DiffID of each
//     layer were proved. On failure the target is gone again, or empty and with the attributes that it
//     had. A caller of [ApplyLayer] must treat the directory as worthless until it returns without an error.
//   - Nothing outside the root changes, whatever a layer holds. Names are never joined to path
//     strings: each operation is relative to a directory file descriptor and names one component;
//     directories are opened one component at a time with openat2(RESOLVE_BENEATH|
//     RESOLVE_NO_SYMLINKS|RESOLVE_NO_XDEV), reads resolve with RESOLVE_IN_ROOT. Attributes are set
//     through descriptors alone: a name may lead to another file a moment later, or to a mount. Cached
//     directory descriptors are dropped when the directory is removed or replaced (CVE-2025-47290).
//   - Whiteouts act on lower layers only, wherever in the layer they stand (layer.md, Whiteouts).
//   - Owners, modes, times, xattrs, ACLs, capabilities and devices are as the entry says, or the error
//     names the entry and the fix ([Options.SingleID], [Options.Devices]).
//
// # Symbolic links on the way to an entry
//
// A layer is a change set that stands by itself. So a symbolic link that the same layer made is
// followed (inside the root), while one that a lower layer made and that now stands where this
// layer needs a directory is replaced by a directory: what overlayfs shows when each layer is
// unpacked by itself, as Docker and Podman do.
//
// # Owners, ACLs and capabilities
//
// Options.UIDMap and GIDMap change owners on the way, and with them the ids in POSIX ACLs and the root id of
// file capabilities: a capability then counts in the user namespace that the map describes, and not on
// the host. An id that the map, or the kernel, does not have is an [OwnerError], which names the map.
//
// With Options.SingleID everything belongs to this process, and the owner that the image says is kept in
// the xattr [OwnerXattr], as `umoci unpack --rootless` does it: none for 0:0, and none on symbolic links,
// devices and FIFOs, since Linux allows user.* xattrs on regular files and directories only. ACLs that
// name users are left out. An OwnerXattr in a layer's own tar is never set, whatever the options: it could
// only claim another owner than the entry has.
//
// POSIX ACLs are read from xattrs and from the text that star, GNU tar and libarchive write (SCHILY.acl.*);
// one that names a user without the number is left out with a warning: who that is on this host says
// nothing about the image. What is made in a directory does not inherit its default ACL: each entry
// says what its file has.
//
// # Limits and space
//
// [LimitTable] has what bounds a layer: entries, names, bytes, growth, windows. A [LimitError] names the
// limit, its value, what was met and a value that would do. Before anything is written, what is known of
// the layers' sizes is compared with what the file system has free ([Root.CheckSpace]).
//
// # Older kernels and poorer file systems
//
// All but these system calls, on Linux, are those of 4.18 and before. Where one is missing, or a filter refuses
// it, its twin gives the same tree; TestOldKernel runs the tests so.
//
//	openat2                              5.6  openat with O_NOFOLLOW and the mount's id in /proc/self/fdinfo;
//	                                          reads are resolved component by component
//	utimensat(fd, "", AT_EMPTY_PATH)     5.8  /proc/self/fd
//	fchmodat2(fd, "", AT_EMPTY_PATH)     6.6  /proc/self/fd
//	mknod of 0/0 in a user namespace     5.8  none: ErrDevice (Overlay form only)
//
// From before 4.18, and so expected: openat with O_PATH, mkdirat, mknodat, symlinkat, linkat, renameat, unlinkat,
// fstat, fstatat, fstatfs, readlinkat, getdents64, fchown, fchownat and name_to_handle_at with AT_EMPTY_PATH,
// fchmod, ftruncate, write, pwrite, and the calls for xattrs. What a file system may lack: xattrs and ACLs
// (left out with a warning), telling upper case from lower, or composed letters from their parts: two names that are one there are
// ErrNames. /proc must be mounted where a twin needs it.
//
// # What it refuses
//
// Entry names with a ".." component, with a NUL, or empty; anything but a directory at the root;
// hardlinks out of the root or to a directory; whiteouts that name nothing, "." or ".."; devices
// 0/0, which overlayfs would take for whiteouts; malformed tar; xz and bzip2; more entries, bytes,
// depth, window or compression ratio than [Limits] allow; two names that are one on the file system.
package unpack
