// Package tree holds what the files of an image are, in memory: no file system is needed to know it.
//
// [OfLayers] gives the tree that the layers of an image make, from their blobs or, if it is not about
// content, from the tar-split logs of layers that were unpacked before. [OfDir] gives the tree that
// is on a disk. [Diff] compares any two.
//
// # The model
//
// The rules by which layers make a tree are written here a second time, from image-spec layer.md
// and from what package unpack promises, not from its code: tests hold the two against each other.
// A layer is first read by itself, as a tree of changes, in the order of its entries:
//
//   - An entry takes the place of what the layer has at its path; a directory entry over a directory
//     of the same layer gives it other attributes.
//   - Directories on the way that the layer has no entry for are implied. A symbolic link on the way
//     is followed, inside the root, if this layer made it; anything else that is no directory gives
//     way to an implied directory.
//   - A whiteout hides the name that it tells in the layers below, an opaque whiteout all names of
//     its directory; where in the layer it stands makes no difference to that, and what this layer
//     has there stays.
//   - A hardlink is another name of a file that the layer has so far, else of one that the layers
//     below have and this layer did not hide so far. The file has to exist.
//
// Then the changes are laid over the tree of the layers below: a directory over a directory that is
// not hidden keeps what is in that one, and its attributes too if it is implied; all else replaces. A
// directory that is implied where there was none has mode 0755, owner 0:0 and the time 0, and
// so has the root.
package tree
