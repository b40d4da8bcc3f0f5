// Command yardstick unpacks an image from an OCI layout with the least work there is, to tell what
// an unpacker costs beyond that. conformance/bench builds and runs it; it is no tool.
//
//	yardstick LAYOUT DIR
//
// One goroutine reads each blob once, hashes it, inflates it with this project's decoder, hashes
// the tar, and makes the files: mkdir, open, write, time and close, and mode and owner where they are
// not those that a new file has. That is the limit "inflate + sha256 + bare writes of the same
// bytes and files" of a processor without a second core. What it leaves out is what makes an unpacker: it
// uses paths and follows links, inside a chroot, keeps no record, compares no digests, and of
// attributes knows but mode, owner and time. Whiteouts remove files. It needs root.
package main
