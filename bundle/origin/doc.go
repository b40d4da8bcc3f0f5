// Package origin tells where the values of a bundle's config.json come from: the image's config, a default, a flag, or
// the host.
//
// Who makes a config gives Marks: "what is at this JSON pointer and below comes from there". Trace lays them over the
// document and gives one Entry for each part of it that has one origin, with a digest of its value. Write keeps the entries
// in the bundle, in a file beside config.json (FileName), which no runtime reads. Explain compares a document as it is now
// with what was kept: a part whose digest is another one was edited since. Elements of a list are found again where
// they moved to. For a bundle of another tool there is nothing kept, and Explain says which parts equal the
// defaults of this project.
//
// The file is only for telling: nothing is decided by it, and it is read as strictly and as bounded as config.json.
package origin
