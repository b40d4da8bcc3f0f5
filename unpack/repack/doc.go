// Package repack makes layers and images of what was changed in a root filesystem: image-spec layer.md,
// "Creating", "Determining Changes" and "Representing Changes". It writes no file and knows no store:
// a layer goes to an io.Writer, config and manifest are given as bytes.
//
// [NewPlan] decides, from two trees and their difference and without reading any content, which entries a
// layer has and in which order; [Plan.Write] writes them, with the content of files read through
// descriptors; [Image.Build] makes config and manifest.
//
// # What a layer has
//
//   - Each added or changed file, whole. Sparse files are written without holes, as layer.md asks.
//   - Each directory on the way to an entry, with its attributes, also when they did not change: some
//     unpackers give a directory without an entry those of a new one (Docker does).
//   - A deletion as an explicit whiteout before its siblings, never as an opaque one. What was below a
//     deleted directory, or below one that is something else now, needs none.
//   - The names of one file (hardlinks) together: when one of them has to be in the layer, all are, the
//     first as the file and the others as links to it. So no link leads out of a layer. Names that
//     still are those of one file below stay out when others are taken from them.
//   - "./" when the attributes of the root changed.
//
// Entries are sorted: a directory before what is in it, names by bytes, and no name twice. Owners are those of
// the image, user and group names are left out, times are exact to the nanosecond (a PAX record where
// a tar header cannot hold it; tar programs that round, as umoci does, lose it). With an epoch, times after it
// become it. The same trees give the same bytes, also compressed, on any number of CPUs.
//
// # What it refuses
//
// Names that begin with ".wh.", which a layer cannot hold (ErrName); a file that changes while it is
// read (ErrChanged). Sockets are left out with a warning: tar has none.
package repack
