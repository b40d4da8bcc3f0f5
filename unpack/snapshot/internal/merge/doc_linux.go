// Package merge reads a stack of layer directories as overlayfs would show it, without a mount, and copies
// what it shows.
//
// [View] looks single paths up. [Tree] copies everything to one directory: whiteouts and opaque directories
// are applied, names of one file stay names of one file, holes stay holes. Content is shared with the
// layers where the file system can (FICLONE: XFS with reflink, btrfs), else copied inside the kernel,
// else read and written. Neither needs a privilege that reading the layers and giving files away do
// not need.
//
// The layer directories are this project's own, and nobody else writes to the target: names in them are
// what an image said, so every operation names one component below an open directory and follows no link.
//
// It is for package snapshot; the form of layer directories is described there.
package merge
