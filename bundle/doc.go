// Package bundle reads, writes and judges runtime bundles: directories with a config.json and a
// root file system, as runtime-spec's bundle.md describes them.
//
// Load takes a bundle that anybody made. It promises that what it returns has been checked: the
// file is regular, not a link, at most MaxConfigSize long; its JSON is strict (one spelling of a
// key, no key twice, bounded depth and count, UTF-8); every MUST of config.md that can be judged
// without a kernel holds; the root directory exists. Unknown properties are no error (config.md
// "Extensibility") and stay in Bundle.Raw.
//
// Validate finds all problems of a config at once, each with a JSON pointer and a clause. Load
// refuses those of level MUST; what a SHOULD asks for is left to the caller to report.
//
// Judge does the same for the text of a config: where Decode stops at the first value of the wrong type
// or key that occurs twice, it notes that one, and what only a SHOULD or a MAY asks for, and goes on. It
// knows the sections of every platform, and which property is newer than the version claimed. A
// problem of level MUST is found exactly where Load refuses; testdata/validate/matrix.json has for each
// clause an example that breaks it and one that keeps it.
//
// None of them asks the machine: bundle/host tells what this kernel and its user cannot do with a config.
//
// Write replaces config.json by rename, so that a reader sees the old file or the new one. There
// is no fsync: after a power failure a bundle is made again from its image.
//
// Patch and Remove change the text of a config, whoever wrote it: what they are not about stays as it was written, properties that
// specs.Spec has no field for, the order of members and the spelling of numbers included.
//
// DefaultSpec is where bundle/convert starts: the namespaces, mounts, capabilities, device rules, masked and
// read-only paths that Docker gives a container.
//
// The version that a config claims is the lowest that its fields need (MinVersion): runtimes
// refuse a version newer than themselves even when they know every field that is used.
package bundle
