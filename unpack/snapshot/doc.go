// Package snapshot keeps each layer unpacked once, by itself, and stacks layers to root filesystems.
//
// A layer directory is layers/<algorithm>/<hex of the DiffID>/ and holds fs/ (the files, in the form
// overlayfs wants a lower layer), tar-split.json.zst (from which with fs/ the tar can be rebuilt),
// replaced/ if the tar overwrote files of its own, and layer.json. It is made in staging/ under a
// lock and renamed into place once the digest and size of the blob and the DiffID were proved, so a
// layer directory that exists is complete. A process that dies, at any moment, leaves no
// more than a staging directory, which the next Ensure of that layer or Prune removes. Any number
// of processes may use a store at once: one unpacks a layer, the others wait for it.
//
// What depends on the layers below, and so cannot be in a shared layer directory, is in a small
// directory of its own under chains/, named by the ChainID and stacked right above the layer: the
// attributes of directories that the layer only passes through, and hardlinks to files of lower layers.
// Where layers and these are more than the 500 that overlayfs stacks, chains/ also has the lowest of them
// as one directory.
//
// Devices, which only root may make, are in a layer directory as devices or as empty files, and listed in
// layer.json, so that containers with different policies share it: [Store.EnsureStack] tells which ones a
// stack shows.
//
// A root filesystem is made of the layer directories in one of two ways.
//
// [Mount] gives an overlay mount that is attached nowhere, as a file descriptor; it is gone when the
// last descriptor and attachment are. Nothing needs cleaning up after a crash. It takes 500
// layers on every kernel (internal/overlay). With id maps it shows the layers through idmapped mounts,
// so that one layer directory serves containers in different user namespaces; what they write
// belongs to ids of the host, on disk too.
//
// [Copy] is for where overlayfs or idmapped mounts are not to be had, which [ErrOverlay] of Mount says: an
// ordinary directory that holds what the mount would show. Blocks are shared with the layers where the file
// system can (XFS, btrfs), else copied. It is the caller's to remove; a process that dies while it copies
// leaves part of one.
//
// The package does not decide which layers are still wanted: who calls Prune must know the images
// and the containers.
package snapshot
