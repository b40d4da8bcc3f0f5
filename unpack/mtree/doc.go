// Package mtree writes manifests of file trees in the format mtree(5), as FreeBSD's mtree and go-mtree read
// them: a line for each file with its attributes as keywords, by which those programs tell what was
// changed. [OfTree] takes the files of an image, [OfDir] those on a disk; [File.Write] writes either.
//
// Names and targets are encoded as vis(3) does with VIS_WHITE, VIS_OCTAL and VIS_GLOB ([Vis]): every byte that
// is not a plain ASCII character becomes an octal escape, so that any name is one word of one line.
//
// Keywords that FreeBSD has not are go-mtree's: tar_time is the time without a fraction, as a tar that
// umoci writes has it, and xattr.NAME is the value of an extended attribute in base64.
//
// [WriteUmoci] makes a bundle one of umoci's: `umoci repack` finds what was changed in it.
//
// What an image says and what a disk says differ in what is the file system's business: the size of
// directories, and how many links they have. The manifest of an image does not have these; [TreeKeywords] are
// the keywords of which both know all, so that go-mtree, for which an absent keyword is a difference,
// finds none.
package mtree
