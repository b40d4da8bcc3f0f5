// Package layout reads and writes the parts of an OCI image layout that the store and the transports
// share: opening blobs of a directory that is not trusted, and editing index.json so that no reader
// ever sees half of it and nothing in it that others wrote is lost.
//
// A directory that calls itself a layout is hostile until proved. Blobs are opened below a directory
// descriptor, no symbolic link is followed anywhere on the way, and what is opened must be a regular
// file: a FIFO does not block, a device is not touched.
package layout
