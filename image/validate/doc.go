// Package validate judges images and image layouts against image-spec 1.0 to 1.1, and tells everything that is wrong at once: where it is
// (the file or digest, and a JSON pointer or the entry of a layer), which sentence of the text it breaks, at which level, and what to write instead.
//
// It is the tolerant twin of what a pull does. Package image refuses a document at the first thing that is wrong with it; this package reads
// what it can of a document, goes on to everything below, and changes nothing. It trusts nothing either: every digest is computed anew.
//
// # What is judged
//
//   - Documents ([Document]): index, manifest, config, descriptors, oci-layout; of Docker's equals the same, with a note that they are no OCI
//     documents. Properties that the specification does not have are no problem (considerations.md, Extensibility).
//   - Images ([Image]): what an index, a manifest and a config say of each other and of the content below: sizes, digests, media types, the
//     number and order of layers, platforms, embedded data, subjects.
//   - Layers: compression, tar, DiffID, and each entry: names, whiteouts, hardlinks, duplicates, device nodes, xattrs, sparse files. The
//     reader is that of package unpack, so what is refused there is told here, with the entries before and after.
//   - Layouts ([Layout]), in directories, tars or zips: the two files and the directory that must be there, the names and the content of every
//     blob, blobs that nothing names, content that is not there.
//
// # Levels
//
// MUST is what breaks the text, or what no reader can use. SHOULD and MAY are as the text says; where it has no word of RFC 2119,
// SHOULD is for a value that has no effect or another one than was meant, and MAY for what one may want to know. Content that a layout lacks is
// allowed (image-layout.md, Blobs): config and layers that are not there are a SHOULD, and images of an index, non-distributable layers and
// subjects a MAY.
//
// # What is not judged
//
// Whether JSON is in canonical form, which hardly a writer keeps; whether licenses, signals and time stamps are true; what artifacts
// hold. Names of SPDX licenses are not looked up. Where a key occurs twice, the last value is judged.
//
// # Bounds
//
// A document has at most 8 MiB, 64 levels and 200,000 values; layers have the bounds of [unpack.Limits], and of the names of their entries
// hashes are kept, not the names. 1000 problems of a level are listed, 10 entries of a layer for a clause; the rest is counted.
package validate
