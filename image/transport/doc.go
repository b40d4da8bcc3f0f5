// Package transport moves images between the store and the places that are not registries: OCI image
// layouts in a directory or a tar, the tars of docker save, and skopeo's plain directories.
//
// A Source is one image in such a place: Resolve says what the reference names, Open gives content.
// Nothing that a Source gives is proved; Copy proves all of it while it takes it into a Sink, which is
// the only way to use it. The places are hostile until then: archives are indexed and read where they
// lie and never unpacked, so the names in them are keys of a map and no paths; links in a directory are
// not followed; all documents are bounded. (An archive that is compressed as a whole is inflated to a
// temporary file first, within bounds: in it nothing could be found.)
//
// A docker-archive has no manifest with digests. One is made for it, and always the same one for the
// same archive: an OCI manifest over the archive's own config bytes and layers, of which the
// uncompressed ones are named by their DiffID. The image keeps its ImageID.
//
// A FileSet lists and opens what a directory, a tar or a zip has, for one who judges a layout as it is.
//
// Export writes layouts, archives of layouts, docker-archives and skopeo's directories, each complete or
// not at all, and the same bytes for the same image.
package transport
